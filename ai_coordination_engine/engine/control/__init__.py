"""What people do to a running session: controls, setting back, reconciling, and asking why."""
