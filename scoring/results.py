"""What scoring knows about results: a `Trial` per run, a `Finding` per oddity, a `Miss` per infinite time."""

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from algoperf.run.summary import Summary
from scoring.facts import Facts

SUBMISSION_TIME = "submission_time"
STEPS = "steps"
AXES = (SUBMISSION_TIME, STEPS)
AXIS_UNITS = {SUBMISSION_TIME: "seconds on the submission clock", STEPS: "updates (global_step)"}


class Reason(enum.StrEnum):
    """Why a time is infinite; the value is what tables and JSON show."""

    TARGET_NOT_REACHED = "target_not_reached"
    OVER_BUDGET = "over_budget"
    TRIAL_FAILED = "trial_failed"
    ENDED_EARLY = "ended_early"
    NO_EVALUATION = "budget_before_evaluation"
    STUDY_MISSING = "study_missing"
    WORKLOAD_MISSING = "workload_missing"
    HELD_OUT_MISSING = "held_out_missing"
    HELD_OUT_TARGET_NOT_REACHED = "held_out_target_not_reached"
    HELD_OUT_TOO_SLOW = "held_out_too_slow"
    BASE_NOT_REACHED = "base_not_reached"
    TOO_SLOW = "slower_than_r_max"


@dataclass(frozen=True, slots=True)
class Miss:
    """An infinite time: its reason, and a sentence with the numbers behind it."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Hit:
    """The first evaluation of a trial that met the validation target."""

    evaluation: int
    """Its place among the evaluations of the trial, from 0."""
    submission_time_sec: float
    global_step: float
    """NaN where the log has no such column."""

    def on(self, axis: str) -> float:
        """The value that is scored: seconds or steps."""
        return self.global_step if axis == STEPS else self.submission_time_sec


@dataclass(frozen=True, slots=True)
class RunEnd:
    """What the records of a run say beside its hit: NaN where they do not say it."""

    num_evaluations: int
    last_step: float
    """Updates at the last evaluation."""
    longest_gap_sec: float
    """Longest time on the clock between two evaluations; the first one's is since the start."""
    is_finite: bool
    """Whether the last validation metric is; a run whose is not has diverged."""
    first_update_sec: float = math.nan
    """Clock at the evaluation after the first update, which holds most of the compilation."""
    evaluation_share: float = math.nan
    """Seconds of evaluation over those and the submission's."""
    run_sec: float = math.nan
    """Clock at the end of the run."""
    note: str = ""
    """What the time of a run without evaluations went into."""
    device: str = ""
    """That the run was on; '' where the records do not say."""
    times_sec: Sequence[float] = field(default=(), repr=False, compare=False)
    """Submission clock at each evaluation."""
    steps: Sequence[float] = field(default=(), repr=False, compare=False)
    """Updates until then; as long."""
    each_evaluation_sec: float = math.nan
    """Of all splits, the mean over the run's evaluations."""
    set_up_sec: float = math.nan
    batch_size: float = math.nan
    """Examples per update."""
    share_before_hit: float = math.nan
    """How far the evaluation before the hit was on the way from the first one to the target."""
    step_before_hit: float = math.nan
    """Updates at that evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run of a submission on a workload."""

    submission: str
    workload: str
    framework: str
    study: int
    trial: int
    hit: Hit | None = None
    best: float = math.nan
    """Best validation metric seen; NaN where none was recorded."""
    last_time_sec: float = math.nan
    """Submission clock at the last evaluation, in seconds of the machine that ran it."""
    status: str = ""
    """`status` of the trial's summary.json; '' where there is none (AlgoPerf writes none)."""
    end: RunEnd | None = None
    """None where only the hit is known, as of published results, or nothing could be read."""
    clock_factor: float = 1.0
    """What the seconds of `hit` were multiplied by, to stand on the clock of another machine."""
    facts: tuple[Facts, ...] = ()
    """How it was run, one per start; empty where nothing is recorded."""
    seal: str = ""
    """Last hash over the records of a refereed trial that has ended, if they are as they were written."""
    log: "EvaluationLog | None" = field(default=None, compare=False, repr=False)
    """All its evaluations; None where only the hit is known, or nothing could be read."""
    summary: Summary | None = field(default=None, compare=False, repr=False)
    """Its summary.json; None where there is none."""


class Kind(enum.StrEnum):
    """What a finding is about; the value is what tables and JSON show."""

    STRAY_FOLDER = "stray folder ignored"
    UNLISTED_WORKLOAD = "workload not in the suite, ignored"
    EXTRA_STUDY = "more studies than the ruleset has, ignored"
    EXTRA_TRIAL = "more trials than the ruleset has, ignored"
    MISSING_WORKLOAD = "workload missing"
    MISSING_STUDY = "study missing"
    MISSING_TRIAL = "trial missing"
    NO_EVALUATIONS = "trial without eval_measurements.csv"
    UNREADABLE = "trial unreadable"
    TORN_ROW = "torn last row ignored"
    BAD_ROW = "malformed row ignored"
    SUPERSEDED_ROW = "rows repeated after a resume ignored"
    CLOCK_BACK = "submission clock went back"
    NAN_METRIC = "NaN validation metric, counted as not reached"
    IMPOSSIBLE_METRIC = "validation metric beyond its range, counted as not reached"
    STEP_SCHEDULE = "evaluated on a step-based schedule"
    OTHER_RUN = "ran under other rules than are scored"
    DAMAGED_SUMMARY = "summary.json unreadable"
    CONTRADICTION = "summary.json contradicts the evaluations, which count"
    ENDED_EARLY = "ended early, and no status says why"
    COPY = "evaluations equal to those of another trial"
    EQUAL_SEEDS = "seeds equal to those of another trial"
    OTHER_RULESET = "results of another ruleset"
    SHORT_BUDGET = "ran with a smaller budget than is scored"
    MIXED_ENTRY = "one submission mixes what has to be equal"
    MIXED_FIELD = "a field mixes what has to be equal"
    LOADED = "the machine was not free"
    BROKEN_CHAIN = "records are not as the referee wrote them"
    OTHER_SEAL = "seal is not the published one"
    NOT_REFEREED = "not refereed, which the suite demands"
    FORBIDDEN = "the referee noticed what is forbidden"
    NOTICED = "for review: noticed by the referee"
    FEW_EXAMPLES = "for review: the target after a third of the best reference algorithm's examples"
    JUMP = "for review: from untrained parameters to the target between two evaluations"
    LONG = "for review: several times as long as the others' on this machine"


@dataclass(frozen=True, slots=True)
class EvaluationLog:
    """One trial's evaluations in order; the three sequences have equal, positive length."""

    submission_time_sec: Sequence[float]
    global_step: Sequence[float]
    """NaN where the file has no such column."""
    validation: Sequence[float]
    """The target metric on the validation split; NaN where the cell is empty."""
    oddities: tuple[tuple[Kind, str], ...] = ()
    evaluation_sec: float = math.nan
    """Seconds of all evaluations so far, in the last row; NaN where the file does not say."""
    total_sec: float = math.nan
    """Wall time of the run, in the last row; NaN where the file does not say."""


FOR_REVIEW = (Kind.NOTICED, Kind.FEW_EXAMPLES, Kind.JUMP, Kind.LONG)
"""For people to look at before results are published; see `scoring.plausible`."""
HARMLESS = (Kind.NAN_METRIC, *FOR_REVIEW)
"""Outcomes of a run rather than defects of its record: shown, accepted under --strict."""

MIXTURES = (Kind.MIXED_ENTRY, Kind.MIXED_FIELD)
"""Their details say what is mixed, each of them something else."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something about the results that a reader of the scores should know."""

    submission: str
    workload: str
    kind: Kind
    place: str
    """Where, relative to the submission: 'study_0/trial_3'."""
    detail: str = ""


@dataclass(frozen=True)
class Results:
    """All trials of a field of submissions, sorted, and what was odd about them."""

    submissions: tuple[str, ...]
    trials: tuple[Trial, ...]
    findings: tuple[Finding, ...] = ()


def merge(parts: Iterable[Results]) -> Results:
    """Results of several sources as one field."""
    parts = tuple(parts)
    return Results(
        submissions=tuple(name for part in parts for name in part.submissions),
        trials=tuple(trial for part in parts for trial in part.trials),
        findings=tuple(finding for part in parts for finding in part.findings),
    )
