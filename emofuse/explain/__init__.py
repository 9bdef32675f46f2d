"""Which evidence spoke."""
