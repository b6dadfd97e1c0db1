"""Projects of ``segue annotate``: masks on disk, edits, imports, review and tracking."""
