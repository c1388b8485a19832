"""Findings into plans: what to type, what it risks, how to take it back."""
