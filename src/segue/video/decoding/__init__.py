"""Decode videos: the only reader that uses a codec."""
