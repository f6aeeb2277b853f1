"""A version on disk: its audit, and freezing it."""
