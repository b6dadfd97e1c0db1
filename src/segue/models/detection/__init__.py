"""Networks that detect objects in one image."""
