"""What AWS invokes."""
