"""Pictures and clips that segue paints itself, with their truth."""
