"""The demo: a page in the browser around a pipeline."""
