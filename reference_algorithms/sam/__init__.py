"""SAM with Adam; see README.md in this folder."""
