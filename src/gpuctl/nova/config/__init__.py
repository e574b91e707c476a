"""Nova's configuration for GPU hosts: facts and wishes in (plan), text per deployment tool out (layouts)."""
