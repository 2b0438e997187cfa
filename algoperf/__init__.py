"""algoperf: a time-to-result benchmark for neural-network training algorithms, for JAX and PyTorch."""

__version__ = "0.1.0"
