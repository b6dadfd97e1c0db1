"""Layers that run faster on a processor: oneDNN, Winograd, 8-bit integers."""
