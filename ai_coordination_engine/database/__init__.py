"""What concerns the SQLite file as a whole: its errors, its versions, its backups."""
