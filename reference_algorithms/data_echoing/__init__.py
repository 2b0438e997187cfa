"""NadamW that uses every batch several times; see README.md in this folder."""
