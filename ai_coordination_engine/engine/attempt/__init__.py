"""One attempt: its lease, its inputs, the action function, its run, and holding a result that
cannot be stored yet.
"""
