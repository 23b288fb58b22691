"""The command `ace`."""
