"""One small file a rule: what the measurements of a trace say about it (see `gradlint.tracer.verdicts`)."""
