"""One page that shows a fleet: hosts, cards, findings with their fix, and what changed since the last run."""
