"""Networks that find objects in one image."""
