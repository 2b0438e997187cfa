"""`python -m algoperf`: the command `algoperf`."""

from algoperf.cli.main import main

if __name__ == "__main__":
    main()
