"""Send events to other programs: a queue on disk, HTTP, MQTT and Home Assistant."""
