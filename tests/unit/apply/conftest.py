from .roots import folder, root

__all__ = ["folder", "root"]
