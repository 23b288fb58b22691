"""What stands still and is woken later: people, long jobs, timers, and the outlook of a session."""
