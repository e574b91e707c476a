"""The documentation, tested: it is up to date, it builds, and what it tells people to type exists."""
