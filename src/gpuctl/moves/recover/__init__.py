"""Moves that broke, whoever broke them: which case a server is in, what repairs it, and what must never be done."""
