"""LAMB; see README.md in this folder."""
