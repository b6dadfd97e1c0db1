"""What a package of somebody else adds to segue: see ``entry_points.txt`` beside it."""
