"""`instance drain`: every GPU server off one host; planned as a whole, moved several at a time, resumable."""
