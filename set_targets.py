"""Sets targets, and runs sweeps: `algoperf targets` under its older name."""

from algoperf.cli.main import script

if __name__ == "__main__":
    script("algoperf.cli.targets:COMMAND")
