"""One readable recipe per network, every constant visible."""
