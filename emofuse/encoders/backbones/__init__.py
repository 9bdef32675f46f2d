"""Inference backbones with the libraries' parameter names: quick to import, build and export."""
