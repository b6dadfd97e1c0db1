"""Faster layers for CPUs: oneDNN, Winograd, 8-bit integers."""
