"""Run networks over data sets by their protocols (``segue run``)."""
