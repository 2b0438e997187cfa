"""Prodigy; see README.md in this folder."""
