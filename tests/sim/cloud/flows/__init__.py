"""What Nova's services do with a server, step by step; each a generator that yields where the next service takes over."""
