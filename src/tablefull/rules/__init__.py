"""Facts into findings: one rule a cause, with its evidence, its confidence and what would confirm it."""
