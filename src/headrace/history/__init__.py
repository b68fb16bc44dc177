"""The historian: append, compact, query, retain. The design is docs/decisions/0005-the-historian.md."""
