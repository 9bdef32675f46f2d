"""Label-preserving augmentation, each a function of a seeded generator."""
