"""Who may use the servers of segue: passwords, tokens, sessions, encryption. No further package is needed."""
