"""Training data: clips, samples, footage and cut-outs."""
