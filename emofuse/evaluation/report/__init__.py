"""Reports of an evaluation as pages and tables."""
