"""The command: looks at everything, says it, and ends with 1 if what was asked will not work."""

import argparse
import shutil
from collections.abc import Sequence

from algoperf import commands
from algoperf.doctor import abilities, asked, confined, data_sets, devices, host, report, software
from algoperf.doctor.line import Mark

DESCRIPTION = """What works on this machine, what does not, and what mends it.

  python -m algoperf.doctor                       everything, a screen of it
  python -m algoperf.doctor --for=mini,torch      ends with 1 if that will not work
"""
WIDTH = 120
"""Columns at most, however wide a terminal is."""


def main(argv: Sequence[str]) -> int:
    """Looks, and says what was found.

    Args:
      argv: arguments of the command, without its own name.

    Returns:
      0; 1 if what was asked will not work, or nothing was and no trial can run; 2 for wrong input.
    """
    return commands.exit_code_of(lambda: _run(_parser().parse_args(list(argv))))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="algoperf doctor", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--for",
        dest="wanted",
        default="",
        metavar="WORD,WORD",
        help="what is to work: names of suites, workloads, frameworks and engines (local, ray, slurm, files), "
        "confinement, gpu",
    )
    parser.add_argument("--data_dir", help="root of prepared data; $ALGOPERF_DATA_DIR, else ~/data/algoperf")
    parser.add_argument(
        "--experiment_dir", default="experiments", help="where results are to go (experiments)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    words = [word.strip() for word in arguments.wanted.split(",") if word.strip()]
    wanted = asked.wanted(words)  # First: a word that means nothing is told before anything is looked at.
    found = list(host.lines(arguments.data_dir, arguments.experiment_dir))
    states, gpus, sets = software.states(), devices.found(), data_sets.found(arguments.data_dir)
    findings = confined.found()
    found += software.lines(states)
    found += devices.lines(gpus, states)
    found += confined.lines(findings)
    found += data_sets.lines(sets)
    found += abilities.lines(states)
    found += asked.lines(wanted, states, gpus, sets, findings)
    code = commands.EXIT_FAILED if any(line.mark is Mark.FAIL for line in found) else 0
    if arguments.json:
        print(report.as_json(found, sets, code))
        return code
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
    print(report.text(found, width))
    print(report.verdict(found, bool(wanted)))
    return code
