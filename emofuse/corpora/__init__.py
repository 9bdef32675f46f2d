"""Corpus readers: published folder layouts, and manifests of one's own."""
