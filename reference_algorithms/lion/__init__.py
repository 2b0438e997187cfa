"""Lion; see README.md in this folder."""
