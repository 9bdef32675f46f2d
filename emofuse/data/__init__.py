"""Examples: what a corpus points at, loaded, folded into targets, paired and composed."""
