"""Blocks that two or more models share."""
