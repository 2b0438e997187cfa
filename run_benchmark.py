"""Runs submissions over a suite, then scores them: `algoperf benchmark` under its older name."""

from algoperf.cli.main import script

if __name__ == "__main__":
    script("algoperf.cli.benchmark:COMMAND")
