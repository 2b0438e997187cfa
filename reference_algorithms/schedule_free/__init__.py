"""Schedule-Free AdamW; see README.md in this folder."""
