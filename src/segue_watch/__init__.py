"""Watch cameras: ``segue watch``, its threads and its page."""
