"""GPU flavors: catalogues, what a cloud has, and how the one becomes the other."""
