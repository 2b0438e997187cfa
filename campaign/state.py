"""Where a job of a campaign stands."""

import enum


class State(enum.StrEnum):
    """Of a job; the value is what tables show."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped early"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in (State.DONE, State.STOPPED, State.FAILED)
