"""What events go to: files, programs, services and pages; each in one file, found in ``EVENT_SINKS``."""
