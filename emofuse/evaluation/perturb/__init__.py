"""Perturbations of words, voices and faces as functions of severity."""
