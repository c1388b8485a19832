"""What was observed. A fact keeps its source line; a hole keeps its reason."""
