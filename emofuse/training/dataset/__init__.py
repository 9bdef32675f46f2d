"""Training samples: sources, augmentation, cache and sampling."""
