"""What people and programs get to see: tables, JSON, YAML, progress."""
