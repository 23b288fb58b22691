"""One attempt of an agent: its lease, request, action function, run, and the storing of its
result.
"""
