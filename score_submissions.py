"""Scores folders of results: `algoperf score` under its older name."""

from algoperf.cli.main import script

if __name__ == "__main__":
    script("algoperf.cli.score:COMMAND")
