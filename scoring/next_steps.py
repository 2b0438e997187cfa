"""What whoever contributes results can do about each kind of finding."""

from scoring.results import Kind

AGAIN = "run the trial again (--overwrite)"
RESTORE = "restore the files as the run wrote them, or run the trial again"
OF_KIND = {
    Kind.STRAY_FOLDER: "move it out of the results",
    Kind.UNLISTED_WORKLOAD: "move it out of the results, or name the suite that has it (--suite)",
    Kind.EXTRA_STUDY: "move it out of the results: the lowest numbers count",
    Kind.EXTRA_TRIAL: "move it out of the results: the lowest numbers count",
    Kind.MISSING_WORKLOAD: "run it (run_benchmark.py runs what is missing)",
    Kind.MISSING_STUDY: "run it (run_benchmark.py runs what is missing)",
    Kind.MISSING_TRIAL: "run it (run_benchmark.py runs what is missing)",
    Kind.NO_EVALUATIONS: "continue it with the same command, or run it again",
    Kind.UNREADABLE: RESTORE,
    Kind.TORN_ROW: RESTORE,
    Kind.BAD_ROW: RESTORE,
    Kind.SUPERSEDED_ROW: RESTORE,
    Kind.CLOCK_BACK: RESTORE,
    Kind.IMPOSSIBLE_METRIC: f"find out what wrote it, then {AGAIN}",
    Kind.STEP_SCHEDULE: f"{AGAIN} without --eval_every_steps",
    Kind.OTHER_RUN: f"{AGAIN} under the suite's own rules",
    Kind.DAMAGED_SUMMARY: RESTORE,
    Kind.CONTRADICTION: RESTORE,
    Kind.ENDED_EARLY: "continue it with the same command, or say in its summary why it ended",
    Kind.COPY: "replace it by a run of its own, of another study or another seed",
    Kind.EQUAL_SEEDS: "replace it by a run with seeds of its own",
    Kind.OTHER_RULESET: "name the ruleset (--ruleset)",
    Kind.SHORT_BUDGET: f"{AGAIN} with the suite's budget",
    Kind.MIXED_ENTRY: "run what differs again, so that all trials of the submission are alike",
    Kind.MIXED_FIELD: "contribute what differs in a folder of its own",
    Kind.LOADED: "run again on a machine that does nothing else",
    Kind.BROKEN_CHAIN: RESTORE,
    Kind.OTHER_SEAL: RESTORE,
    Kind.NOT_REFEREED: "run it with --referee",
    Kind.FORBIDDEN: "change the submission and run it again",
}
OTHER = "look at it, and say in the contribution what it is"
"""For kinds that have none of their own, such as those for people to look at."""


def of(kind: Kind) -> str:
    """What to do, as the end of a sentence."""
    return OF_KIND.get(kind, OTHER)
