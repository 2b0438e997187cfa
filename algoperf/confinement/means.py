"""The means of confinement: what each stops, by what, and what is said of one that a machine does not have."""

import dataclasses

PRIVILEGES, FILES, DATA, TRACES, NETWORK, SIGNALS, INSPECTION, TASKS, MEMORY = (
    *("privileges", "files", "data", "traces", "network", "signals", "inspection"),
    *("tasks", "memory"),
)

STOPS = {
    PRIVILEGES: "programs that give more rights than the user has",
    FILES: "opening, changing and running files that a trial does not need: results, other submissions, the harness",
    DATA: "reading validation and test data",
    TRACES: "leaving anything for a later trial: files, caches, shared memory, keys, attributes of files",
    NETWORK: "speaking with anybody over TCP, UDP or Unix sockets",
    SIGNALS: "signals to the referee and the evaluator",
    INSPECTION: "reading and writing the memory of other processes",
    TASKS: "processes and threads without end",
    MEMORY: "memory without end",
}
"""Means -> what it keeps a submission from."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a machine was found to do of one means."""

    means: str
    held: bool
    words: str
    """By what it is held, or why not."""
