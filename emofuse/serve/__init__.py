"""The service: a pipeline behind HTTP, for many callers at once."""
