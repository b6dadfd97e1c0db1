"""Losses of masks and of video instances."""
