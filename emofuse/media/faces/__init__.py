"""Faces: detection, tracking, crops, the best of each person."""
