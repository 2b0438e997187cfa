"""Distributed Shampoo; see README.md in this folder."""
