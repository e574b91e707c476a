"""Decide: what has to change, from facts and a wish alone. Nothing here touches the host."""
