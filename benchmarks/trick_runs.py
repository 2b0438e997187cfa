"""Runs tricks, with a referee and without, and says what became of each; the command is `tricks.py`.

A trick *gains* where it reaches the target of the quick suite below with less than 1 / 1.02 of the honest algorithm's
updates, or of its seconds. Updates are exact: evaluations come by steps, seeds are equal, and a trick that trains as
the honest algorithm does has the same metrics bit for bit. Seconds on a shared machine are not, so what is compared is
the *share*: submission time, by the records, of the time that this program has itself seen pass after set-up. Whatever
slows a machine down leaves it, and a slow clock or work that is hidden in evaluations does not. How far the shares of
honest runs lie apart is what cannot be told from nothing.
"""

import ast
import contextlib
import dataclasses
import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf import files, frameworks, records, registry, suites
from algoperf.referee import freeze
from audit import findings as grades
from audit.audit import audit

ROOT = Path(__file__).resolve().parents[1]
OWN = ROOT / "tests" / "cheats"
PLAIN, REFEREED = "plain", "refereed"
MODES = (REFEREED, PLAIN)
NOTICEABLE = 1.02
"""A smaller gain is none."""

QUICK_TARGETS = {"digits": (0.92, 0.9), "digits_batch_norm": (0.92, 0.9)}
"""(validation, test) after a third of the updates of the real ones; other workloads keep theirs."""
MAX_STEPS, EVERY = 75, 5
OTHER_STEPS, OTHER_EVERY = 12, 6
"""On larger workloads."""
BUDGET_SEC = 60.0
"""Of the quick suite, for a busy machine; self-tuning runs have half as much again."""


@dataclass(frozen=True, kw_only=True)
class Trick:
    """One of them, or the honest algorithm."""

    name: str
    submission: Path
    framework: str
    workload: str = "digits"
    says: str = ""
    rules: tuple[str, ...] = ()
    again: str = ""
    """'study' for a second run in another study, 'same' for the same command again, 'rival' for an honest run before in
    the same folder, 'edit' for an honest run afterwards, 'change' for source that is changed between the two parts."""

    known: str = ""
    """What an index says that it has come to, without a referee."""

    @property
    def limits(self) -> tuple[int, int]:
        """(updates, updates between evaluations)."""
        return (MAX_STEPS, EVERY) if self.workload in QUICK_TARGETS else (OTHER_STEPS, OTHER_EVERY)


# ---- which there are -------------------------------------------------------------------------------------------------


def find(folders: Sequence[Path]) -> list[Trick]:
    """All tricks of folders, in their order: with an `index.json`, or with docstrings as in `tests/cheats`."""
    found: list[Trick] = []
    for folder in folders:
        index = folder / "index.json"
        found += list(
            _indexed(folder, json.loads(index.read_text())) if index.exists() else _documented(folder)
        )
    return found


_AGAIN = (
    ("another study", "study"),
    ("command again", "same"),
    ("any submission", "edit"),
    ("change rates", "change"),
)
"""Words of an index, and what they mean here."""


def _indexed(folder: Path, index: Mapping[str, Any]) -> Iterator[Trick]:
    for name, about in index.items():
        own_name = folder / name / "method.py"
        again = [kind for words, kind in _AGAIN if words in about["again"]]
        yield Trick(
            name=name,
            submission=own_name if own_name.exists() else folder / name,
            framework=about["frameworks"][0],
            workload=about["workload"],
            says=about["description"],
            rules=tuple(about["rules"].split()),
            again="rival" if "rival" in name else "".join(again),
            known=about["outcome_today"],
        )


def _documented(folder: Path) -> Iterator[Trick]:
    for path in sorted(folder.glob("*/submission.py")):
        text = path.read_text()
        words = ast.get_docstring(ast.parse(text)) or ""
        again = re.search(r"^Again: (\w+)\.$", words, re.MULTILINE)
        yield Trick(
            name=path.parent.name,
            submission=path.parent,
            framework="jax" if re.search(r"\bcommon_jax\b", text) else "pytorch",
            says=" ".join(words.partition("\n\n")[0].split()),
            rules=tuple(dict.fromkeys(re.findall(r"R\d+\.\d+", words))),
            again=again[1] if again else "",
        )


def honest(framework: str, workload: str) -> Trick:
    """What the tricks of this project start from."""
    return Trick(
        name=f"honest_{framework}_{workload}",
        submission=OWN / f"common_{frameworks.get(framework).suffix}.py",
        framework=framework,
        workload=workload,
    )


# ---- one run ---------------------------------------------------------------------------------------------------------


def run(
    trick: Trick, mode: str, folder: Path, timeout_sec: float, limits: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Runs a trick in a folder of its own, as often as it needs; returns what became of its last run.

    Args:
      trick: what runs.
      mode: one of `MODES`.
      folder: for results and temporary files; emptied before.
      timeout_sec: of each run.
      limits: (updates, updates between evaluations); those of its workload by default.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    suite = folder / "quick.json"
    files.write_json(suite, {"targets": {trick.workload: _targets(trick.workload)}})
    freeze.adopt_orphans()  # Tricks leave processes behind.

    def once(one: Trick, *more: str, until: Path | None = None, is_editing: bool = False) -> dict[str, Any]:
        started = command(one, mode, folder, suite, more, limits)
        goes_on = trick.again in ("same", "change")
        environment = {"CHEAT_EDIT": "1"} if is_editing else {}
        return _once(started, folder, timeout_sec, until, environment, goes_on)

    if trick.again == "rival":
        once(honest(trick.framework, trick.workload))
    if trick.again == "change":
        trick = _changed_between(trick, folder, once)
    found = once(trick, is_editing=trick.again == "edit")
    if trick.again == "study":
        found = once(trick, "--study=1")
    elif trick.again == "same":
        found = once(trick)
    elif trick.again == "edit":
        found = once(honest(trick.framework, trick.workload))
    return {"trick": trick.name, "mode": mode, **found}


def _changed_between(trick: Trick, folder: Path, once: Any) -> Trick:
    """Starts a copy of a trick, stops it, and changes a number in a file that it imports."""
    copy = folder / "changing"
    shutil.copytree(trick.submission.parent, copy)
    trick = dataclasses.replace(trick, submission=copy / trick.submission.name)
    once(trick, until=_study(trick, folder, 0) / f"{trick.workload}_{trick.framework}" / "trial_1")
    rates = copy / "rates.py"
    rates.write_text(rates.read_text().replace("0.003", "0.004"))
    return trick


def _targets(workload: str) -> dict[str, Any]:
    found = dataclasses.asdict(suites.targets_from_registry(workload))
    quick = QUICK_TARGETS.get(workload)
    if quick is not None:
        found |= dict(zip(("validation_target", "test_target"), quick, strict=True))
    return {**found, "runtime_budget_sec": BUDGET_SEC}


def command(
    trick: Trick,
    mode: str,
    folder: Path,
    suite: Path,
    more: Sequence[str] = (),
    limits: tuple[int, int] | None = None,
) -> list[str]:
    """Of a run; see `run`.

    Args:
      trick: what runs.
      mode: one of `MODES`.
      folder: for the results.
      suite: a file with targets and budget.
      more: arguments.
      limits: (updates, updates between evaluations).
    """
    steps, every = limits or trick.limits
    return [
        *(sys.executable, str(ROOT / "submission_runner.py"), "--quiet", "--tuning_ruleset=self"),
        *(f"--workload={trick.workload}", f"--framework={trick.framework}", f"--suite={suite}"),
        *(f"--submission={trick.submission}", f"--experiment_dir={folder / 'results'}"),
        *(f"--max_steps={steps}", f"--eval_every_steps={every}", f"--referee={mode == REFEREED}", *more),
    ]


def _study(trick: Trick, folder: Path, study: int) -> Path:
    name = trick.submission.stem if trick.submission.suffix else trick.submission.name
    return folder / "results" / name / f"study_{study}"


def _once(
    command: list[str],
    folder: Path,
    timeout_sec: float,
    until: Path | None,
    environment: Mapping[str, str],
    goes_on: bool,
) -> dict[str, Any]:
    """One run: its records, and the last words of its output.

    Args:
      command: of it.
      folder: where results lie.
      timeout_sec: after which it is killed.
      until: a trial's folder, which ends the run as soon as it has a checkpoint.
      environment: variables.
      goes_on: whether it continues the trial that is there.
    """
    start = time.monotonic()
    before = sorted((folder / "results").rglob("trial_1"))
    variables = {**os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(ROOT), **environment}
    with open(folder / "output", "w+") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while process.poll() is None and time.monotonic() < start + timeout_sec:
                time.sleep(0.1)
                if until is not None and any(until.glob(f"{records.CHECKPOINT_PREFIX}*")):
                    process.send_signal(signal.SIGTERM)
                    process.wait(timeout_sec)
        finally:
            is_late = process.poll() is None
            _end_all()
        process.wait()
        output.seek(0)
        words = output.read()
    new = sorted(set((folder / "results").rglob("trial_1")) - set(before))
    trial = next(iter(new + (before if goes_on else [])), None)
    return {
        "exit_code": "too late" if is_late else process.returncode,
        "wall_sec": round(time.monotonic() - start, 1),
        "said": words.strip()[-400:],
        **_recorded(trial),
    }


def _end_all() -> None:
    """Ends all processes below this one."""
    for _ in range(100):
        left = [one for one in freeze.descendants(os.getpid()) if one.state not in "ZX"]
        for one in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
        if not left:
            return
        time.sleep(0.01)


def _recorded(trial: Path | None) -> dict[str, Any]:
    """What the records of a trial say."""
    if trial is None:
        return {"status": None, "evaluations": []}
    found: dict[str, Any] = {"status": None, "evaluations": _evaluations(trial / records.EVAL_MEASUREMENTS)}
    if (trial / records.SUMMARY).exists():
        summary = records.read_json(trial / records.SUMMARY)
        names = ("status", "error", "findings", "submission_time_sec", "global_step", "warnings")
        found |= {name: summary.get(name) for name in names}
        ledger = summary.get("ledger") or {}
        found |= {"balanced": ledger.get("balanced"), "set_up_sec": ledger.get("set_up")}
    return found


def _evaluations(path: Path) -> list[dict[str, float]]:
    """Rows without empty cells, as scoring would read them, but for what it leaves out."""
    if not path.exists():
        return []
    columns = records.read_csv(path)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    kept = ("global_step", records.SCORE)
    return [
        {
            name: float(cell)
            for name, cell in row.items()
            if ("/" in name or name in kept) and not math.isnan(cell)
        }
        for row in rows
    ]


# ---- what the audit says ---------------------------------------------------------------------------------------------


def audited(trick: Trick) -> dict[str, Any]:
    """Findings of the audit above *note*: check -> (grade, rules); in the order of grades."""
    report = audit(trick.submission)
    above = sorted(
        (one for one in report.findings if one.grade > grades.Grade.NOTE), key=lambda one: -one.grade
    )
    return {one.check.id: [one.grade.text, *one.check.rules] for one in above}


# ---- what became of it -----------------------------------------------------------------------------------------------


def target_step(found: Mapping[str, Any], workload: str) -> float:
    """The update at which the records first meet the validation target of the quick suite; NaN where they do not."""
    spec, targets = registry.get(workload), _targets(workload)
    for row in found["evaluations"]:
        value = row.get(f"validation/{spec.target_metric_name}", math.nan)
        if spec.meets(value, targets["validation_target"]):
            return row.get("global_step", math.nan)
    return math.nan


def share(found: Mapping[str, Any]) -> float:
    """Submission time of all the time after set-up, by another clock; NaN where the records do not say."""
    seconds = [row[records.SCORE] for row in found["evaluations"] if records.SCORE in row]
    if not seconds or found.get("set_up_sec") is None:
        return math.nan
    return max(seconds) / (found["wall_sec"] - found["set_up_sec"])


def trains_alike(found: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two runs have the same metrics, bit for bit, at all steps that both have evaluated, of which some."""
    one, another = (
        {
            row["global_step"]: {name: cell for name, cell in row.items() if "/" in name}
            for row in run["evaluations"]
        }
        for run in (found, other)
    )
    steps = one.keys() & another.keys()
    return len(steps) > 1 and all(one[step] == another[step] for step in steps)


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Of a run over honest ones: factors, NaN where the run has not met the target, infinite where only it has."""

    updates: float
    share: float
    """Of its time that is on the clock: the honest one over this."""
    alike: bool
    """Whether it trains as the honest algorithm does, bit for bit."""

    @property
    def seconds(self) -> float:
        """On the clock."""
        return self.updates * self.share

    def is_one(self, spread: float) -> bool:
        """Whether it is one, where the shares of honest runs themselves lie apart by a factor `spread`."""
        return self.updates > NOTICEABLE or self.seconds > max(NOTICEABLE, spread)


def gain(found: Mapping[str, Any], beside: Sequence[Mapping[str, Any]], workload: str) -> Gain:
    """Of a run.

    Args:
      found: what `run` has returned.
      beside: honest runs in the same mode.
      workload: of all.
    """
    own = target_step(found, workload)
    alike = any(trains_alike(found, one) for one in beside)
    if not beside or math.isnan(own):
        return Gain(updates=math.nan, share=math.nan, alike=alike)
    honest_step = statistics.median(target_step(one, workload) for one in beside)
    updates = math.inf if math.isnan(honest_step) else honest_step / max(own, 1.0)
    return Gain(updates=updates, share=statistics.median(map(share, beside)) / share(found), alike=alike)
