"""The nine figures."""
