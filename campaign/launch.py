"""Becomes another program that keeps to some cores and is asked to end when its parent does (on Linux).

    python launch.py <parent's process> <core>,<core>,... <program> <argument> ...

A process of its own, because what `subprocess` could do between fork and exec is not safe in a parent with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    _, parent, cores, *command = sys.argv
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # Stays across exec.
        if os.getppid() != int(parent):
            sys.exit(128 + signal.SIGTERM)  # It was gone before that.
        if cores:
            os.sched_setaffinity(0, map(int, cores.split(",")))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
