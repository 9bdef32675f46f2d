"""Manifests: anyone's own data as a table, read, checked and written."""
