"""Training data of foreground networks."""
