"""Voices told apart: who speaks when in sound of one channel."""
