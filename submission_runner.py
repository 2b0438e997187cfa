"""Run a submission on a workload: `algoperf run` under its older name."""

from algoperf.cli.main import script

if __name__ == "__main__":
    script("algoperf.cli.run:COMMAND")
