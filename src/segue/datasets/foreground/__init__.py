"""Data sets with foreground labels."""
