"""NadamW with averaged weights; see README.md in this folder."""
