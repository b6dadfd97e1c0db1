"""The page of ``segue annotate`` and ``segue view``: server, project, and the process that computes."""
