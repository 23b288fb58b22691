"""One attempt: its lease, what the agent is given, the action function, the run, holding what
cannot be stored yet.
"""
