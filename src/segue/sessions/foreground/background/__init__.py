"""Models of the background: statistics of each pixel, live or learnt in a first pass."""
