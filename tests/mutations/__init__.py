"""Correct training loops, mechanical mutations of them, and what gradlint must say about each."""
