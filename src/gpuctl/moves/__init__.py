"""GPU servers that move: what is known of them (books), what is right (guards, ways), and the moving itself."""
