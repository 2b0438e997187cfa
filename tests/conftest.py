"""Shared fixtures; the repository root is importable whether or not the package is installed."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# Small models on two cores are quicker, and runs more alike, with one thread per process.
os.environ.setdefault("OMP_NUM_THREADS", "1")
