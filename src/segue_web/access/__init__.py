"""Access to servers: passwords, tokens, sessions and encryption, without further packages."""
