"""Runtimes: precision of the encoders, int8, graphs for other engines."""
