"""What a camera knows of its scene: objects that stand, places where things come and go, and their file."""
