"""Networks only: one paper, one file; tensors in, tensors out."""
