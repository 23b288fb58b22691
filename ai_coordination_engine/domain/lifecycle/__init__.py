"""The life cycles of the records as data: states, phases, and every transition as a row.

The store compiles its conditional writes from the rows, the engine dispatches on the phase of an
agent, `whyNotRunning` explains it, and `make states` prints `docs/states.md`.
"""
