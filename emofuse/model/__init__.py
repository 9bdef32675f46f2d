"""The model: fusion, heads, calibrated outputs, and its checkpoint folder."""
