"""What follows from an agent that has ended: successors, maps, the end of the session."""
