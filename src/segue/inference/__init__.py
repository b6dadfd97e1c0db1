"""Make a network ready to run: device, precision, folded norms, compiled and fused layers."""
