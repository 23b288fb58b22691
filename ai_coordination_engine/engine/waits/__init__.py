"""End the waits of agents from outside or by time: answers of people, ends of long jobs."""
