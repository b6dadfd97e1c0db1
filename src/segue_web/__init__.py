"""The page of ``segue annotate`` and ``segue view``: server, project and worker process."""
