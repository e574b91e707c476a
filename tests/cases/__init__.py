"""Cases as files; loader.py says what a file may hold."""
