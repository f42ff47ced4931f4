"""What the user sees of a trace: text for the terminal, JSON, and pictures."""
