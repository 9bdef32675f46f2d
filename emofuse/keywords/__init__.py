"""Keywords: the words that carry an emotion through a collection of texts, and what two collections differ in."""
