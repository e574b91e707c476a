"""The verbs of the entry: read the facts, ask the rooms, answer with a document and an exit code."""
