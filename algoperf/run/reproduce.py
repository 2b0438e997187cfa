"""Repeats a stored trial: the same point, seeds, threads and evaluations, then says whether it came to the same."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf import backends, frameworks, records, source_digest
from algoperf import submission as submissions
from algoperf.run import sources, stored, verdict
from algoperf.run.identity import ENVIRONMENT, SOURCE, VERSIONS, Difference, differences, identity_of
from algoperf.run.stored import StoredTrial
from algoperf.run.study import StudyPlan
from algoperf.run.summary import Summary
from algoperf.settings import RunSettings
from algoperf.spec import UsageError
from algoperf.submission_import import PROJECT
from algoperf.suites import NAME_IN_WORKLOAD
from algoperf.workload import WorkloadSpec

FOLDER = "reproduced"
"""Below --experiment_dir: never among results of its own, as which they would be scored."""
MACHINE = (
    *("cpu_model_name", "gpu_model_name", "num_devices", "device", "python_version", "data_manifest"),
    "git_commit_hash",
)
"""Facts of the meta data that may explain a difference."""
OF_SCHEDULE = ("eval_steps", "eval_every_steps")
"""Parts of an identity in which a repetition may differ: it is evaluated at the same updates all the same."""


@dataclasses.dataclass(frozen=True)
class Repetition:
    """A stored trial, and the plan to run it again."""

    stored: StoredTrial
    plan: StudyPlan

    @classmethod
    def of(cls, settings: RunSettings) -> "Repetition":
        """Reads the trial that --reproduce names; sets the threads that a framework will use.

        Args:
          settings: of the command; --experiment_dir, --data_dir, --device and --submission are its own.

        Raises:
          UsageError: if there is no such trial, or no such submission, workload or suite here.
        """
        assert settings.reproduce is not None
        found = stored.read(settings.reproduce)
        file, framework = _submission(settings, found)
        own = dataclasses.replace(
            settings.reproduced_from(found.settings),
            submission=str(file),
            submission_path=None,
            framework=framework,
            experiment_dir=str(Path(settings.experiment_dir) / FOLDER),
            max_global_steps=max(found.evaluations),
            # What it said is in the point, and in the name of the folder.
            tuning_search_space=None,
            append_timestamp=False,
        )
        trial = own.trial or 1
        plan = StudyPlan.of(own, points=(None,) * (trial - 1) + (found.point,))
        if found.threads is not None:
            backends.launch(plan.framework).use_threads(found.threads)
        return cls(
            found,
            dataclasses.replace(
                plan,
                workload=_as_then(plan.workload, plan.budget_factor, found),
                eval_steps=tuple(found.evaluations),
            ),
        )

    def expected(self) -> list[str]:
        """What differs from the stored run, and what is not known of it, as far as that can be told before it runs."""
        plan, number = self.plan, self.plan.trials[0]
        known = sources.of(plan.submission_file, plan.framework, plan.families)
        wanted = identity_of(
            dataclasses.replace(plan.settings_of(number), framework=plan.framework),
            plan.workload,
            source_digest.combined(known.files[SOURCE]),
            plan.points[number - 1],
            known=known,
        )
        return [f"differs: {one}" for one in self._differences(wanted, known.files)] + self._not_recorded()

    def report(self, ended: Summary, folder: Path) -> tuple[str, bool]:
        """(what differs and how the evaluations compare, whether all are equal); for when it has run.

        Args:
          ended: how the repetition ended.
          folder: of its records.
        """
        meta_data = records.newest_meta_data(folder)
        found = self._differences(ended.identity or {}, meta_data.get("sources") or {})
        found += self._differences_of_machine(meta_data)
        compared = verdict.compare(self.stored.evaluations, stored.evaluations_of(folder))
        lines = [
            f"repetition of {self.stored.place}:",
            *(f"  differs: {one}" for one in found),
            *(f"  {line}" for line in self._not_recorded()),
            *([f"  it ended with status {ended.status}"] if compared.missing else []),
            compared.text(),
        ]
        return "\n".join(lines), compared.is_equal

    def _differences(
        self, wanted: Mapping[str, Any], files_now: Mapping[str, Mapping[str, str]]
    ) -> list[Difference]:
        then = {key: value for key, value in self.stored.identity.items() if key not in OF_SCHEDULE}
        if VERSIONS not in then and "package_versions" in self.stored.meta_data:
            then[VERSIONS] = self.stored.meta_data["package_versions"]
        return differences(then, wanted, self.stored.source_files, files_now)

    def _differences_of_machine(self, now: Mapping[str, Any]) -> list[Difference]:
        then = self.stored.meta_data
        found = [
            Difference(name, then[name], now.get(name))
            for name in MACHINE
            if then.get(name) is not None and then[name] != now.get(name)
        ]
        recorded = then.get(ENVIRONMENT)
        if ENVIRONMENT not in self.stored.identity and isinstance(recorded, Mapping):
            numerics = {key: value for key, value in recorded.items() if key not in ("cores", "variables")}
            found += differences({ENVIRONMENT: numerics}, {ENVIRONMENT: now.get(ENVIRONMENT) or {}})
        return found

    def _not_recorded(self) -> list[str]:
        missing = self.stored.not_recorded()
        return [f"not recorded: {', '.join(missing)}; here as by default"] if missing else []


def _submission(settings: RunSettings, found: StoredTrial) -> tuple[Path, str]:
    """(file, framework) of the submission: as the command says, where it was, or of the same name in the project."""
    framework = frameworks.get(str(found.settings["framework"])).name
    if settings.given_submission:
        return submissions.find(settings.given_submission, framework)
    places = [PROJECT / name / found.submission for name in ("reference_algorithms", "submissions")]
    recorded = found.submission_file
    if recorded is not None:
        places.insert(0, recorded)
    for place in places:
        if place.exists():
            return submissions.find(place, framework)
    where = f"at {recorded}" if recorded is not None else "recorded"
    raise UsageError(
        f"The submission {found.submission!r} of {found.place} is not {where}, nor one of the project: say where it is "
        "with --submission=<folder or .py file>."
    )


def _as_then(workload: WorkloadSpec, budget_factor: float, found: StoredTrial) -> WorkloadSpec:
    """The workload with the targets, budget and step hint that its suite gave it then."""
    facts: dict[str, Any] = dict(found.meta_data.get("workload_spec") or {})
    ended = found.summary
    if not facts and ended is not None:
        facts = {"validation_target_value": ended.validation_target, "test_target_value": ended.test_target}
        if ended.budget_sec:
            facts["max_allowed_runtime_sec"] = ended.budget_sec / budget_factor
    names = [name for name in NAME_IN_WORKLOAD.values() if isinstance(facts.get(name), (int, float))]
    changed = {name: facts[name] for name in names if facts[name] != getattr(workload, name)}
    return dataclasses.replace(workload, **changed) if changed else workload
