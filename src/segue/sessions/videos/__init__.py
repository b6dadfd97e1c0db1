"""Objects in a video whose frames are tracked in any order."""
