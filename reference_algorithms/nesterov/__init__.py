"""Nesterov momentum; see README.md in this folder."""
