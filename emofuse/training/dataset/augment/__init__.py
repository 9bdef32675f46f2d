"""Changes to training samples that leave the emotion as it is, each a function of a seeded generator."""
