"""The tracer wing: one real training step of a script, measured, against what the static wing claims."""
