"""Operations on a running session: controls, resets, reconciling, and `whyNotRunning`."""
