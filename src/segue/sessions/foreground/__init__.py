"""Segment what moves: the foreground session and its masks."""
