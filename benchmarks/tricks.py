"""What each trick gains with a referee and without, and what stops or names it: the table of docs/referee.md.

  nice python benchmarks/tricks.py --results=~/tricks [--folders=tests/cheats,../shared/cheats] [--only=slow_clock]
  python benchmarks/tricks.py --results=~/tricks --table [--write=docs/referee.md]

One line of JSON for each run goes into `runs.jsonl` in the folder of results; started again, the command goes on where
it stopped. An honest run follows every few tricks, so that seconds are compared with those of the same minutes. How
gains are told from noise is said in `trick_runs.py`. The exit code is 1 if a trick gains and nothing names it.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from algoperf import commands, files
from benchmarks import trick_runs
from benchmarks.trick_runs import MODES, PLAIN, REFEREED, Trick

FLAGS = flags.FLAGS
flags.DEFINE_string("results", None, "Folder of the runs.", required=True)
flags.DEFINE_list(
    "folders", ["tests/cheats", "../shared/cheats"], "Collections of tricks; absent ones are left out."
)
flags.DEFINE_list("only", [], "Names of tricks, or parts of them; all by default.")
flags.DEFINE_list("modes", list(MODES), "Of refereed and plain.")
flags.DEFINE_list("frameworks", [], "Frameworks of the tricks; all by default.")
flags.DEFINE_integer("limit_sec", 300, "Of each run, until it is killed.", lower_bound=1)
flags.DEFINE_bool("table", False, "Print the table of what is there, and run nothing.")
flags.DEFINE_string("write", None, "A file whose part between two marks the table replaces.")

HONEST_EVERY = 12
"""Tricks between two honest runs."""
MARKS = ("<!-- table of tricks -->", "<!-- end of the table -->")

Runs = dict[tuple[str, str], dict[str, Any]]
"""(name, mode) -> what became of it."""


def main(argv: Sequence[str]) -> int:
    """Runs what has not run, or prints the table."""
    del argv
    folder = files.expanded(FLAGS.results).resolve()
    files.make_folder(folder, "--results")
    file = folder / "runs.jsonl"
    tricks = chosen()
    done = read(file)
    if not FLAGS.table:
        for mode in FLAGS.modes:
            for name, trick in planned(tricks):
                if (name, mode) in done or (
                    mode == PLAIN and trick.again == "edit"
                ):  # It would edit this project.
                    continue
                found = {**trick_runs.run(trick, mode, folder / "r", FLAGS.limit_sec), "trick": name}
                done[name, mode] = found
                with open(file, "a") as lines:
                    lines.write(json.dumps(found) + "\n")
                print(f"{mode} {name}: {found['status']} {found['wall_sec']} s", flush=True)
    rows, problems = table(tricks, done)
    print("\n".join(rows))
    if FLAGS.write:
        path = files.expanded(FLAGS.write)
        before, rest = path.read_text().split(MARKS[0])
        path.write_text("\n".join([f"{before}{MARKS[0]}", *rows, MARKS[1]]) + rest.split(MARKS[1])[1])
    for text in problems:
        print(f"GAINS UNNAMED: {text}")
    return int(bool(problems))


def chosen() -> list[Trick]:
    """The tricks that the flags ask for, those of one framework and workload together."""
    folders = [trick_runs.ROOT / name for name in FLAGS.folders]
    found = trick_runs.find([path for path in folders if path.is_dir()])
    wanted = [one for one in found if not FLAGS.only or any(text in one.name for text in FLAGS.only)]
    wanted = [one for one in wanted if one.framework in (FLAGS.frameworks or [one.framework])]
    return sorted(wanted, key=_kind, reverse=True)  # PyTorch first, which starts faster.


def _kind(trick: Trick) -> tuple[str, str]:
    return trick.framework, trick.workload


def planned(tricks: Sequence[Trick]) -> Iterator[tuple[str, Trick]]:
    """(name, what runs) with honest runs between."""
    kinds = dict.fromkeys(map(_kind, tricks))
    for kind in kinds:
        same = [one for one in tricks if _kind(one) == kind]
        for place, trick in enumerate(same):
            if place % HONEST_EVERY == 0:
                yield _honest(trick, place // HONEST_EVERY)
            yield trick.name, trick
        yield _honest(same[-1], len(same) // HONEST_EVERY + 1)


def _honest(trick: Trick, number: int) -> tuple[str, Trick]:
    one = trick_runs.honest(trick.framework, trick.workload)
    return f"{one.name}_{number}", one


def read(file: Path) -> Runs:
    """What has run; of several runs of one trick the last."""
    lines = map(json.loads, file.read_text().splitlines()) if file.exists() else ()
    return {(one["trick"], one["mode"]): one for one in lines}


# ---- the table -------------------------------------------------------------------------------------------------------


def table(tricks: Sequence[Trick], done: Runs) -> tuple[list[str], list[str]]:
    """(lines of Markdown, tricks that gain with a referee and are not named)."""
    rows = [
        "| trick | rule | the audit says | the referee | gain without | gain with |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    problems = []
    for trick in sorted(tricks, key=lambda one: (not one.name[0].isdigit(), one.name)):
        with_referee, without = done.get((trick.name, REFEREED)), done.get((trick.name, PLAIN))
        audit = trick_runs.audited(trick)
        named = ", ".join(f"{check} ({grade[0]})" for check, grade in audit.items()) or "nothing"
        cells = [_gain(trick, one, mode, done) for one, mode in ((without, PLAIN), (with_referee, REFEREED))]
        what = "not run" if with_referee is None else _what(with_referee)
        rows.append(
            f"| `{trick.name}` | {', '.join(trick.rules)} | {named} | {what} | {cells[0]} | {cells[1]} |"
        )
        if with_referee is not None and not audit and not _findings(with_referee):
            found = trick_runs.gain(with_referee, _honest_runs(trick, REFEREED, done), trick.workload)
            if found.is_one(spread(trick, REFEREED, done)):
                problems.append(f"{trick.name}: {cells[1]}")
    return [*rows, "", *_noise(tricks, done)], problems


def _honest_runs(trick: Trick, mode: str, done: Runs) -> list[dict[str, Any]]:
    """All of the same kind."""
    name = trick_runs.honest(trick.framework, trick.workload).name
    return [found for (run, m), found in done.items() if m == mode and re.fullmatch(rf"{name}_\d+", run)]


def spread(trick: Trick, mode: str, done: Runs) -> float:
    """How far the shares of honest runs lie apart: the largest over the smallest."""
    shares = [one for one in map(trick_runs.share, _honest_runs(trick, mode, done)) if not math.isnan(one)]
    return max(shares) / min(shares) if shares else math.inf


def _gain(trick: Trick, found: dict[str, Any] | None, mode: str, done: Runs) -> str:
    """For people: how many times fewer updates and seconds."""
    if found is None:
        return f"earlier version: {_short(trick.known)}" if mode == PLAIN and trick.known else "not run"
    one = trick_runs.gain(found, _honest_runs(trick, mode, done), trick.workload)
    if math.isnan(one.updates):
        return "none; trains alike" if one.alike else "none"
    limit = max(trick_runs.NOTICEABLE, spread(trick, mode, done))
    if not one.is_one(limit):
        return "none; trains alike" if one.alike else "none"
    if math.isinf(one.updates):
        return "target that honest has not"
    if one.updates <= trick_runs.NOTICEABLE:
        return f"{one.seconds:.3g} x in seconds"
    return f"{one.updates:.3g} x in updates" + (
        f", {one.seconds:.3g} x in seconds" if one.seconds > 0 else ""
    )


def _findings(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in found.get("findings") or () if one["grade"] != "note"]


def _what(found: dict[str, Any]) -> str:
    """What a referee has done or said."""
    words = [f"{one['rule']} {one['grade']}: {_short(one['text'])}" for one in _findings(found)]
    if found["exit_code"] == 2:
        words.append(f"refused: {_short(found['said'].splitlines()[-1].removeprefix('error: '))}")
    elif found.get("status") in ("failed", "budget_exhausted", "diverged"):
        error = [line for line in (found.get("error") or "").splitlines() if line.strip()]
        words.append(f"{found['status']}: {_short(error[-1] if error else '')}".rstrip(": "))
    elif found.get("status") is None:
        words.append(f"no summary (exit code {found['exit_code']})")
    return "; ".join(dict.fromkeys(words)) or "-"


def _short(text: str) -> str:
    """A sentence that fits into a cell."""
    text = re.sub(r"(?<![\w.])/[\w./-]*/", "", " ".join(text.split())).replace("|", "/").replace("<", "&lt;")
    return text if len(text) <= 110 else text[:107] + "..."


def _noise(tricks: Sequence[Trick], done: Runs) -> list[str]:
    """How far honest runs lie apart."""
    lines = []
    for kind in dict.fromkeys(map(_kind, tricks)):
        one = next(trick for trick in tricks if _kind(trick) == kind)
        for mode in MODES:
            runs = _honest_runs(one, mode, done)
            shares = [share for share in map(trick_runs.share, runs) if not math.isnan(share)]
            if len(shares) > 1:
                steps = sorted({trick_runs.target_step(found, one.workload) for found in runs})
                lines.append(
                    f"- honest on {one.workload} in {one.framework}, {mode}: {len(shares)} runs, target at update "
                    f"{', '.join(f'{step:.0f}' for step in steps)}, share of time on the clock {min(shares):.2f} to "
                    f"{max(shares):.2f}"
                )
    return lines


if __name__ == "__main__":
    commands.run(main)
