"""Prepare networks for inference: device, precision, folded norms, compiled and fused layers."""
