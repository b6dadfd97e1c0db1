"""Web server of the pages, its worker process and its messages."""
