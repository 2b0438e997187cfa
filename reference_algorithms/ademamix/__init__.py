"""AdEMAMix; see README.md in this folder."""
