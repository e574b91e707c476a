"""Read: what this host is. Everything here only reads; what cannot be known is None, never a guess."""
