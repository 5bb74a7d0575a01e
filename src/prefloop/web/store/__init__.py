"""The database: tables, changes of them, the log, the settings, and comparisons read back from their rows."""
