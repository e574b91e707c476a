"""The host's half, run on a host over SSH: nothing is installed there, nothing is left there."""
