"""The submission clock: a time ledger in which every interval of a run belongs to exactly one bucket."""

import time

# Bound before any submission is imported, so that one that replaces `time.perf_counter_ns` does not change the clock.
_now_ns = time.perf_counter_ns
_wall_ns = time.monotonic_ns

SUBMISSION_BUCKETS = ("data_selection", "update", "prepare_for_eval")
EVALUATION_BUCKETS = ("eval_train", "eval_validation", "eval_test")
OTHER_BUCKETS = ("set_up", "logging", "checkpoint", "other")
BUCKETS = (*SUBMISSION_BUCKETS, *EVALUATION_BUCKETS, *OTHER_BUCKETS)

DATA_SELECTION, UPDATE, PREPARE_FOR_EVAL = SUBMISSION_BUCKETS
SET_UP, LOGGING, CHECKPOINT, OTHER = OTHER_BUCKETS

COMPILED = "compiled"
"""Head of the keys of a ledger's state that count compilations: compiled/<bucket>/<name>."""


class Ledger:
    """Sums wall time by bucket. Entering a bucket closes the previous one, so no time is lost or counted twice.

    Reading it takes well under a microsecond and never waits for a device. Code that pauses the submission's clock must
    wait for the device first.

    Args:
      bucket: the first bucket.
      start_ns: reading of `time.perf_counter_ns` at which the first bucket opened; now by default.
    """

    def __init__(self, bucket: str = SET_UP, start_ns: int | None = None):
        self._spent_ns = dict.fromkeys(BUCKETS, 0)
        self._bucket = bucket
        self._since_ns = _now_ns() if start_ns is None else start_ns
        # The sum of the buckets is checked against a second clock, read only at the start and the end.
        self._wall_start_ns = _wall_ns() - (_now_ns() - self._since_ns)
        self._earlier_wall_ns = 0
        self._waited_ns = 0
        self.compilations: dict[str, dict[str, int]] = {bucket: {} for bucket in SUBMISSION_BUCKETS}
        """Bucket -> what was compiled in it -> how often, over all parts of a run: each part compiles anew."""

    def enter(self, bucket: str) -> int:
        """Charges the time since the last call to the open bucket and opens `bucket`; returns the reading in ns."""
        now = _now_ns()
        self._spent_ns[self._bucket] += now - self._since_ns
        self._bucket, self._since_ns = bucket, now
        return now

    @property
    def submission_ns(self) -> int:
        """Time on the submission clock up to the last `enter`."""
        # Written out instead of a sum over SUBMISSION_BUCKETS: read at every step.
        spent = self._spent_ns
        return spent["data_selection"] + spent["update"] + spent["prepare_for_eval"]

    @property
    def is_running(self) -> bool:
        """Whether the submission clock runs."""
        return self._bucket in SUBMISSION_BUCKETS

    def running_ns(self) -> int:
        """Time on the submission clock up to now; another thread may ask, and is then told a little less at times."""
        spent_ns = self.submission_ns  # First: an interval that is closed meanwhile must not count twice.
        return spent_ns + (_now_ns() - self._since_ns if self.is_running else 0)

    def seconds(self, *buckets: str) -> float:
        """Sum of buckets up to the last `enter`, in seconds."""
        # Sums are integers in nanoseconds, so that millions of small intervals add no rounding errors.
        return sum(self._spent_ns[bucket] for bucket in buckets) / 1e9

    def total_sec(self) -> float:
        """Sum of all buckets, the open one up to now."""
        self.enter(self._bucket)
        return self.seconds(*BUCKETS)

    def wall_sec(self) -> float:
        """Wall time since the start, by the independent clock."""
        return (self._earlier_wall_ns + _wall_ns() - self._wall_start_ns) / 1e9

    def move(self, source: str, target: str, ns: int) -> None:
        """Moves closed time from one bucket to another, at most what is there."""
        moved = max(0, min(ns, self._spent_ns[source]))
        self._spent_ns[source] -= moved
        self._spent_ns[target] += moved

    def add_submission_ns(self, ns: int) -> None:
        """Adds time on the submission clock that has passed before this process, and is in no bucket."""
        self._spent_ns[UPDATE] += ns
        self._earlier_wall_ns += ns

    def set_submission_ns(self, ns: int) -> None:
        """Takes over the submission time that another process has measured; the wall time goes with it."""
        self.add_submission_ns(ns - self.submission_ns)

    def waited_since(self, start_ns: int) -> None:
        """In a distributed run: the time since the reading `start_ns` was spent waiting for other processes."""
        assert self._bucket == OTHER
        self._waited_ns += self.enter(OTHER) - start_ns

    def set_to_latest(self, seconds: float) -> None:
        """In a distributed run: raises the update bucket to the submission time of the slowest process (R6.6).

        The difference is moved out of the time spent waiting for that process since the last call. If that is not
        enough, because the process fell behind while this one did other work, the wall time is raised by the rest.
        """
        behind = max(0, round(seconds * 1e9) - self.submission_ns)
        moved = min(behind, self._waited_ns)
        self._spent_ns[UPDATE] += behind
        self._spent_ns[OTHER] -= moved
        self._earlier_wall_ns += behind - moved
        self._waited_ns = 0

    def count_compilation(self, name: str) -> None:
        """Counts one compilation for the open bucket, if that is one of the submission's."""
        counts = self.compilations.get(self._bucket)
        if counts is not None:
            counts[name] = counts.get(name, 0) + 1

    def summary(self) -> dict[str, float | bool]:
        """Seconds per bucket, their sum, the wall time, and whether the two agree (1 % + 0.1 s)."""
        total, wall = self.total_sec(), self.wall_sec()
        result: dict[str, float | bool] = {bucket: self.seconds(bucket) for bucket in BUCKETS}
        balanced = abs(total - wall) <= 0.01 * wall + 0.1
        return {**result, "total": total, "wall": wall, "balanced": balanced}

    def state(self) -> dict[str, int]:
        """What a checkpoint keeps: nanoseconds by bucket and of wall time, and how often what was compiled."""
        self.enter(self._bucket)
        compiled = {
            f"{COMPILED}/{bucket}/{name}": count
            for bucket, counts in self.compilations.items()
            for name, count in counts.items()
        }
        wall_ns = self._earlier_wall_ns + _wall_ns() - self._wall_start_ns
        return {**self._spent_ns, "wall": wall_ns, **compiled}

    def add_earlier(self, state: dict[str, int]) -> None:
        """Adds the state of an interrupted run. The time between interruption and restart is in no bucket (R6.15)."""
        for bucket in BUCKETS:
            self._spent_ns[bucket] += state[bucket]
        self._earlier_wall_ns += state["wall"]
        for key, count in state.items():
            if key.startswith(f"{COMPILED}/"):
                _, bucket, name = key.split("/", 2)
                counts = self.compilations[bucket]
                counts[name] = counts.get(name, 0) + count
