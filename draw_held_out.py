"""Draws held-out workloads: `algoperf draw` under its older name."""

from algoperf.cli.main import script

if __name__ == "__main__":
    script("algoperf.cli.draw:COMMAND")
