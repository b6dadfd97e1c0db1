"""The page of ``segue annotate`` and ``segue view``: server, project, and the process that computes.

Errors that users can cause are :class:`~segue.errors.SegueError`, one line for the page.
"""
