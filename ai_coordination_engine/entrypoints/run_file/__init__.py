"""Read run files (YAML) and report problems with line and column."""
