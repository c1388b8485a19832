"""What Linux does, by version, each statement with its source and its basis."""
