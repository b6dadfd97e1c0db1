"""Motion of the camera, and changes of the whole image."""
