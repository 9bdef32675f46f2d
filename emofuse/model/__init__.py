"""Fusion, heads, the model and its checkpoint folder."""
