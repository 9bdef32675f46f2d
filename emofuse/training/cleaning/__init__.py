"""Cleaning: labels that are likely wrong, and copies, found before training."""
