"""Readers of the corpora's published folder layouts, and of anyone's own manifest."""
