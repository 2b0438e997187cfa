"""Muon; see README.md in this folder."""
