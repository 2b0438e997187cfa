"""Checks a workload folder: `algoperf check <folder>` under its older name."""

from algoperf.cli.main import script

if __name__ == "__main__":
    script("algoperf.cli.check:WORKLOAD")
