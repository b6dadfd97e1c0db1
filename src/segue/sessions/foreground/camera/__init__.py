"""Camera motion and global changes of the image."""
