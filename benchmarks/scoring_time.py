"""Time to score a folder of submissions: the whole command, start-up included.

    python benchmarks/scoring_time.py ~/external_tuning --runs=7

Prints the median and the range of several runs, and evaluation files per second. The first run, which may read
from a cold disk, is printed separately.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "score_submissions.py"
START_UP = [sys.executable, "-c", "import absl.app, scoring.score_field"]


def time_command(command: list[str]) -> float:
    """Wall seconds of one run."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=SCRIPT.parent)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "submissions", type=Path, help="folder of submissions, such as the unpacked v0.5 logs"
    )
    parser.add_argument("--suite", default="algoperf_v05")
    parser.add_argument("--runs", type=int, default=7, help="timed runs after the first")
    arguments = parser.parse_args()

    num_files = sum(1 for _ in arguments.submissions.glob("*/study_*/*/trial_*/eval_measurements.csv"))
    command = [
        sys.executable,
        str(SCRIPT),
        f"--suite={arguments.suite}",
        str(arguments.submissions.resolve()),
    ]
    print(f"{num_files} evaluation files; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name, extra in (("clean rules", []), ("--official", ["--official"]), ("start-up only", None)):
        timed = START_UP if extra is None else [*command, *extra]
        first = time_command(timed)
        seconds = [time_command(timed) for _ in range(arguments.runs)]
        median = statistics.median(seconds)
        rate = "" if extra is None else f", {num_files / median:,.0f} files/s"
        print(
            f"{name:14} median {median:.2f} s ({min(seconds):.2f} to {max(seconds):.2f}; first {first:.2f}){rate}"
        )


if __name__ == "__main__":
    main()
