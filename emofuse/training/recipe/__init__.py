"""Recipes: their sections, their reading, and what one would do."""
