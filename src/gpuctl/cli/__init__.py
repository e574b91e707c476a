"""Click commands, thin: parse, call, render."""
