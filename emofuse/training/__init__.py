"""Training: typed recipes, one trainer for every task and corpus."""
