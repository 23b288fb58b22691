"""Exposed tasks as skills of an agent, by the Agent2Agent protocol (A2A) 1.0."""
