"""Processors: what stands before an encoder's network, from a segment to arrays; none of them needs PyTorch."""
