from tests.unit.apply.roots import folder, root

__all__ = ["folder", "root"]
