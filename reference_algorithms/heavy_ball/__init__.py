"""Heavy-ball momentum; see README.md in this folder."""
