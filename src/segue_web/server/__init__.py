"""The web server of the pages, its worker process and its messages."""
