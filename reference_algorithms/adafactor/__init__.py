"""Adafactor; see README.md in this folder."""
