"""Speed and memory, as ratios of sides measured beside each other in one run."""
