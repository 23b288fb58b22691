"""Task schedules: find what is due, fire it, run and backfill by hand, apply edits, explain."""
