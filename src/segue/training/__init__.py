"""Training: clips, losses, the loop and one readable recipe per network."""
