"""Images and clips of events, and the best view of each object."""
