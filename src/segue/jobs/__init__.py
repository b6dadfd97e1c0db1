"""Runs as values, and the one loop that carries them out."""
