"""Sources of frames: files, folders, arrays, cameras and network addresses."""
