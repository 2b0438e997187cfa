"""NadamW that prefers examples with a large loss; see README.md in this folder."""
