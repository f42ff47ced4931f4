"""One check a rule, joined by name: `check(facts, options)` reads facts and yields findings."""
