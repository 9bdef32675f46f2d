"""Evaluation: predictions on a split, metrics with intervals, robustness and reports."""
