"""The page of ``segue annotate`` and ``segue view``: server, project, and the process that computes.

What a person can cause is a :class:`~segue.errors.SegueError`, one line for the page.
"""
