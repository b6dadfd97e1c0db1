"""One recipe per network, with all constants."""
