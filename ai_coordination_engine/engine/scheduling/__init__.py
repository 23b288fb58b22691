"""Task schedules: what an edit does to their times, and why one does not fire."""
