"""Background models: per-pixel statistics, live or learnt in a first pass."""
