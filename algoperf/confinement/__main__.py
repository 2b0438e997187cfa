"""Says what this machine can do to confine a process; ends with 1 if something is missing.

python -m algoperf.confinement
"""

import os
import sys
import tempfile
from pathlib import Path

from algoperf.confinement import means, places, probe
from algoperf.confinement.means import Finding
from algoperf.confinement.rules import Rules


def findings() -> list[Finding]:
    """What holds for any trial here, whatever its data are."""
    with tempfile.TemporaryDirectory() as folder:
        private = Path(os.path.realpath(folder)) / "private"
        private.mkdir()
        run, look = places.around(places.programs(), ())
        rules = Rules(
            run=tuple(run),
            look=tuple(look),
            read=tuple(places.settings()),
            write=(str(private),),
            devices=tuple(places.devices()),
            memory_bytes=1 << 40,
            max_tasks=1 << 16,
        )
        return probe.run(probe.Tries(rules=rules), is_watched=True)


def main() -> int:
    """Prints a table; returns the exit code."""
    found = findings()
    for one in found:
        print(f"{'held' if one.held else 'MISSING':8}{one.means:12}{one.words}")
        print(f"{'':20}against {means.STOPS[one.means]}")
    missing = [one.means for one in found if not one.held]
    told = f"missing: {', '.join(missing)}" if missing else "nothing is missing"
    print(f"{told}; see docs/referee.md, Confinement")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
