"""What the records of a trial say about how it was run: the facts that a comparison rests on (R12.7).

Ours are in `meta_data_<n>.json` (one per start), `summary.json` and `flags_<n>.json`; AlgoPerf's `meta_data_<n>.json`
is read for what it holds. Anything may be absent, or of another type where somebody else wrote it: then it is not
known. Trials without such files, as those of AlgoPerf 0.5, cost nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from algoperf import files, frameworks, records
from algoperf.run import summary as summaries

META_DATA_KEYS = (
    *(
        "suite",
        "ruleset",
        "budget_sec",
        "refereed",
        "rng_seed",
        "seeds",
        "submission_hash",
        "device",
        "num_devices",
    ),
    *(
        "package_versions",
        "python_version",
        "git_commit_hash",
        "git_dirty",
        "gpu_model_name",
        "gpu_count",
        "gpu_driver",
    ),
    *("cpu_model_name", "cpu_count"),
    *("workload.validation_target_value", "workload.test_target_value", "workload.max_allowed_runtime_sec"),
    *("workload.step_hint", "workload.eval_period_time_sec"),
)
"""What is read of `meta_data_<n>.json`, besides `identity`; archives keep it."""


PUBLIC = "public"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One start of a trial; None is not recorded."""

    suite: str | None = None
    ruleset: str | None = None
    targets: tuple[float, float | None] | None = None
    """Of validation and test."""
    budget_sec: float | None = None
    """With the factor of the ruleset."""
    base_budget_sec: float | None = None
    """The workload's, before that factor; AlgoPerf records no other."""
    step_hint: float | None = None
    evaluations: str | None = None
    """When evaluations were due: 'every 5 s' or 'every 100 steps'."""
    device: str | None = None
    """Number and kind: '4 x NVIDIA A100-SXM4-40GB', 'cpu (2 cores)'."""
    host: str | None = None
    """Number of processors and their kind."""
    threads: float | None = None
    versions: tuple[tuple[str, str], ...] = ()
    """(package, version), sorted: Python, drivers, and what a run in the trial's framework can use."""
    commit: str | None = None
    """Of the project, with a word where files differed from it."""
    source: str | None = None
    """Hash of the submission."""
    harness: str | None = None
    """Hash of the project's code that the trial ran through, without other frameworks' files."""
    workload_code: str | None = None
    """Hash of the workload's files, without other frameworks'."""
    seed: float | None = None
    """The one that fixes a field (R11.8). AlgoPerf has none: each of its trials draws one."""
    trial_seeds: tuple[object, ...] | None = None
    """Those of this trial; equal ones in two trials make the second a repetition."""
    was_loaded: bool | None = None
    """Whether it warned that other processes used the machine."""
    refereed: bool = False
    data: str = PUBLIC
    """`PUBLIC`, or the sealed form of the seed that its data were made from."""


def read(
    paths: Sequence[str],
    summary: summaries.Summary | None,
    flags: Mapping[str, object],
    framework: str,
) -> tuple[Facts, ...]:
    """The facts of a trial, one per start that is recorded.

    Args:
      paths: of its meta data.
      summary: None where there is none.
      flags: the content of its newest file of flags, empty where there is none.
      framework: that it ran in.
    """
    contents = [content for path in paths if (content := files.read_json_or_none(path))]
    starts = [content for content in contents if isinstance(content, dict)]
    if not starts:
        # A summary that says no more than how the trial ended (a campaign gave it up) is no record of a start.
        told = () if summary is None else (summary.identity, summary.suite, summary.validation_target)
        starts = [{}] if any(told) or "tuning_ruleset" in flags else []
    return tuple(_of_start(meta_data, summary, flags, framework) for meta_data in starts)


def _of_start(
    meta_data: Mapping[str, object],
    summary: summaries.Summary | None,
    flags: Mapping[str, object],
    framework: str,
) -> Facts:
    known: Mapping[str, Any] = {} if summary is None else summary.identity or {}
    identity = _mapping(meta_data.get("identity")) or known
    get = meta_data.get
    warnings = None if summary is None else summary.warnings
    ended = summary if summary is not None else summaries.Summary(status="")
    return Facts(
        suite=ended.suite or _text(get("suite")),
        ruleset=ended.ruleset or _text(get("ruleset")) or _text(flags.get("tuning_ruleset")),
        targets=_targets(meta_data, ended),
        budget_sec=ended.budget_sec if ended.budget_sec is not None else _number(get("budget_sec")),
        base_budget_sec=_number(get("workload.max_allowed_runtime_sec")),
        step_hint=_number(get("workload.step_hint")),
        evaluations=_evaluations(meta_data, ended, flags, identity),
        device=_device(meta_data) or ended.device,
        host=_counted(_number(get("cpu_count")), _text(get("cpu_model_name"))),
        threads=_number(_mapping(identity.get("environment")).get("threads")),
        versions=_versions(meta_data, framework),
        commit=_commit(meta_data),
        source=_text(get("submission_hash")) or _text(identity.get("submission_source")),
        harness=_text(identity.get("harness")),
        workload_code=_text(identity.get("workload_source")),
        seed=_seed(meta_data, identity),
        trial_seeds=_trial_seeds(meta_data, identity),
        was_loaded=None if warnings is None else any(text.startswith(records.BUSY) for text in warnings),
        refereed=get("refereed") is True or bool(ended.refereed),
        data=_text(identity.get("data_seed")) or PUBLIC,
    )


def _targets(
    meta_data: Mapping[str, object], summary: summaries.Summary
) -> tuple[float, float | None] | None:
    validation, test = summary.validation_target, summary.test_target
    if validation is None:
        validation = _number(meta_data.get("workload.validation_target_value"))
        test = _number(meta_data.get("workload.test_target_value"))
    return None if validation is None else (validation, test)


def _evaluations(
    meta_data: Mapping[str, object],
    summary: summaries.Summary,
    flags: Mapping[str, object],
    identity: Mapping[str, object],
) -> str | None:
    steps = summary.eval_every_steps or identity.get("eval_every_steps") or flags.get("eval_every_steps")
    if steps not in (None, 0, "", "0"):
        return f"every {steps} steps"
    period = _number(meta_data.get("workload.eval_period_time_sec"))
    return None if period is None else f"every {period:g} s"


def _device(meta_data: Mapping[str, object]) -> str | None:
    own = _text(meta_data.get("device"))
    # AlgoPerf asks the driver; a run of ours on the CPU beside a GPU is told by `device`.
    return own or _counted(_number(meta_data.get("gpu_count")), _text(meta_data.get("gpu_model_name")))


def _counted(count: float | None, kind: str | None) -> str | None:
    return kind if kind is None or not count else f"{count:g} x {kind}"


def _versions(meta_data: Mapping[str, object], framework: str) -> tuple[tuple[str, str], ...]:
    """Without the project itself, whose commit says more, and without frameworks that the trial did not use."""
    found = {
        name: meta_data.get(key) for name, key in (("python", "python_version"), ("driver", "gpu_driver"))
    }
    found.update(_mapping(meta_data.get("package_versions")))
    return tuple(
        sorted(
            (name, version)
            for name, version in found.items()
            if isinstance(version, str) and name not in _others(framework)
        )
    )


def _others(framework: str) -> frozenset[str]:
    if framework not in _OTHERS:
        others = [one.recorded for one in frameworks.FRAMEWORKS if one.name != framework]
        _OTHERS[framework] = frozenset({"algoperf", *(package for names in others for package in names)})
    return _OTHERS[framework]


_OTHERS: dict[str, frozenset[str]] = {}
"""Framework -> packages whose versions say nothing about a trial in it."""


def _commit(meta_data: Mapping[str, object]) -> str | None:
    commit = _text(meta_data.get("git_commit_hash"))
    if commit is None:
        return None
    return f"{commit[:10]} with changes" if meta_data.get("git_dirty") is True else commit[:10]


def _seed(meta_data: Mapping[str, object], identity: Mapping[str, object]) -> float | None:
    # What derives seeds of trials from it records both.
    fixes_field = _mapping(meta_data.get("seeds")) or "rng_seed" in identity
    return _number(meta_data.get("rng_seed", identity.get("rng_seed"))) if fixes_field else None


def _trial_seeds(
    meta_data: Mapping[str, object], identity: Mapping[str, object]
) -> tuple[object, ...] | None:
    seeds = _mapping(meta_data.get("seeds"))
    if seeds:
        return tuple(sorted((name, repr(value)) for name, value in seeds.items()))
    # Seeds of a trial follow from these three.
    parts = [_number(identity.get(name)) for name in ("rng_seed", "study", "trial")]
    if None not in parts:
        return tuple(parts)
    own = _number(meta_data.get("rng_seed"))
    return None if own is None else (own,)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and value == value else None  # type: ignore[return-value]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
