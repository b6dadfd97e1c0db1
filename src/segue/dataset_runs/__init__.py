"""Networks over whole data sets by their protocols (``segue run``)."""
