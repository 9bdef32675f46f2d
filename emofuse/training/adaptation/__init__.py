"""Adaptation: a trained model that learns from a few corrections and must not forget what it knew."""
