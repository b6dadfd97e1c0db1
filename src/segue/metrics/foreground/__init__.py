"""Scores of foreground masks: pixel counts, the rules of CDnet2014, object sizes."""
