"""Downloads, prepares and verifies data: `algoperf data` under its older name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from algoperf.cli.main import script

if __name__ == "__main__":
    script("algoperf.cli.data:COMMAND")
