"""Render a scene: OpenGL, textures, sensor and label maps."""
