"""Operations on a running session: controls, setting back, reconciling, and `whyNotRunning`."""
