"""Objects that come, go, enter zones and cross lines: rules, tables, images and clips."""
