"""Store of a camera: runs, visits, events, images and clips, marks, and progress of receivers."""
