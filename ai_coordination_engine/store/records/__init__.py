"""The CRUD of the records: entities, lists, cursors, guarded deletes."""
