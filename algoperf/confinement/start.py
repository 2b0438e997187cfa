"""Runs a module's `main` in a confined process.

    python -m algoperf.confinement.start <descriptor of a file with rules> <module> <its arguments>

It comes before numpy and frameworks are imported: their threads would not be confined.
"""

import importlib
import os
import sys

from algoperf.confinement.apply import confine
from algoperf.confinement.rules import Rules


def main(arguments: list[str]) -> int:
    """Confines this process and runs the module; returns its exit code."""
    file, name, *others = arguments
    with open(int(file)) as reader:
        reader.seek(0)
        rules = Rules.from_json(reader.read())
    done = confine(rules)
    if rules.confines_files and "memory" not in done.namespaces:
        # Its workers need semaphores in shared memory, which would be that of all processes.
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    sys.argv = [sys.argv[0], *others]
    code: int = importlib.import_module(name).main(others)
    return code


def command(file: int, module: str) -> list[str]:
    """The command that does so, without the arguments of the module.

    Args:
      file: descriptor with the rules, which the process inherits.
      module: has a function `main`.
    """
    return [sys.executable, "-m", "algoperf.confinement.start", str(file), module]


def rules_file(rules: Rules) -> int:
    """The descriptor of a file without a path that holds rules; whoever gets it closes it."""
    file = os.memfd_create("rules")
    os.write(file, rules.to_json().encode())
    return file


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
