"""Networks and classical methods that give foreground probabilities."""
