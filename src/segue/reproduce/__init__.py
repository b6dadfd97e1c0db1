"""Experiments of the papers; ``segue reproduce`` runs them."""
