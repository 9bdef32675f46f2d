"""One engine for every task and corpus, driven by typed recipes."""
