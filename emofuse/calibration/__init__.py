"""Calibration: temperatures and prediction sets fitted on development data."""
