"""How parameters are tuned: strategies, adapters, parameter groups, where a model starts from."""
