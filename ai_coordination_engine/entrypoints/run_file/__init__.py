"""The YAML file: parsed and checked, with line and column."""
