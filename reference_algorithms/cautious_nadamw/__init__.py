"""Cautious NadamW; see README.md in this folder."""
