"""Stages around a segmenter, one file each: rain, light, shadows, contrast, alignment."""
