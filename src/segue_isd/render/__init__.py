"""Render scenes: OpenGL, textures, sensor and label maps."""
