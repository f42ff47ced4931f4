"""One module a command: `build()` makes its parser, `main(arguments)` does its work and gives the exit code."""
