"""What runs in the user's interpreter: torch and the standard library only, started by file path."""
