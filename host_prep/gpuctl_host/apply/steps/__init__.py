"""One file a kind of change: what is noted before it, the act, the reading back, and the way back."""
