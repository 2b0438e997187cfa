"""How JAX processes on several hosts connect, and the messages between them."""

import contextlib
import os
import pickle
import sys
import threading
from typing import Any, TypeVar

import jax
import numpy as np
from jax._src import distributed  # There is no public name for the coordinator's key-value store.
from jax.experimental import multihost_utils

from algoperf.commands import EXIT_USAGE
from algoperf.hosts import Hosts
from algoperf.spec import UsageError

T = TypeVar("T")

# A broadcast goes through device memory, where a whole checkpoint may not fit beside the run that it
# restores.
CHUNK_BYTES = 64 << 20
KEY = "algoperf"


def join(hosts: Hosts) -> None:
    """Connects to the other hosts; must come before anything that uses a device.

    If they do not connect in time, this process ends with the message and the exit code of a UsageError.

    Raises:
      UsageError: if hosts were given different numbers of hosts, or no cluster was found.
    """
    where: dict[str, Any] = {}
    if hosts.coordinator != "auto":
        where = {
            "coordinator_address": hosts.coordinator,
            "num_processes": hosts.num_hosts,
            "process_id": hosts.host_id,
            "cluster_detection_method": "deactivate",
        }
    # JAX's preemption service would take over SIGTERM, which the harness handles itself.
    jax.config.update("jax_enable_preemption_service", False)
    # Gloo is part of every jaxlib; MPI, the other choice, is not.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # After its timeout JAX does not raise but aborts with a core dump; our own timer ends the process earlier.
    watch = threading.Timer(hosts.timeout_sec, _give_up, [hosts])
    watch.daemon = True
    watch.start()
    try:
        jax.distributed.initialize(**where, initialization_timeout=hosts.timeout_sec + 60)
    except (RuntimeError, ValueError) as error:
        if hosts.coordinator == "auto":
            advice = "name it as --coordinator=<host:port of host 0> with --num_hosts and --host_id"
        else:
            advice = "see that host 0's port is free and can be reached"
        problem = str(error).splitlines()[0]
        raise UsageError(
            f"--coordinator={hosts.coordinator} does not work here ({problem}): {advice}."
        ) from None
    finally:
        watch.cancel()
    if hosts.num_hosts is not None:
        _check_same_number(hosts.num_hosts)


def _give_up(hosts: Hosts) -> None:
    who = "This host" if hosts.host_id is None else f"Host {hosts.host_id} of {hosts.num_hosts}"
    print(
        f"error: {who} did not meet the others at --coordinator={hosts.coordinator} within {hosts.timeout_sec} s "
        "(--hosts_timeout_sec). Start the same command on every host, each with a --host_id of its own, and see that "
        "host 0's port is free and can be reached.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(EXIT_USAGE)  # From a thread: sys.exit would end only that, while JAX keeps waiting.


def _store() -> Any:
    """The store that JAX's processes share; its class is private and has no types."""
    return distributed.global_state.client


def _check_same_number(num_hosts: int) -> None:
    store = _store()
    store.key_value_set(f"{KEY}/num_hosts/{jax.process_index()}", str(num_hosts))
    for host in range(jax.process_count()):
        told = int(store.blocking_key_value_get(f"{KEY}/num_hosts/{host}", 60_000))
        if told != num_hosts:
            raise UsageError(
                f"Host {host} was started with --num_hosts={told}, this one with --num_hosts={num_hosts}: say the same "
                "on every host."
            )


class JaxExchange:
    """See `algoperf.backends.base.Exchange`."""

    def __init__(self) -> None:
        self._store = _store()

    def maximum(self, value: float) -> float:
        # Sent as bytes: device arrays have no float64 by default, and float32 seconds are too coarse for a clock.
        sent = np.frombuffer(np.float64(value).tobytes(), np.uint8)
        return float(_gather_bytes(sent).view(np.float64).max())

    def broadcast(self, value: T) -> T:
        is_first = jax.process_index() == 0
        content = np.frombuffer(pickle.dumps(value, protocol=5) if is_first else b"", np.uint8)
        count, last = divmod(len(content), CHUNK_BYTES)
        count, last = (
            int(item) for item in multihost_utils.broadcast_one_to_all(np.array([count, last], np.int32))
        )
        parts = []
        for number in range(count + 1):
            size = CHUNK_BYTES if number < count else last
            part = content[number * CHUNK_BYTES :][:size] if is_first else np.zeros(size, np.uint8)
            parts.append(np.asarray(multihost_utils.broadcast_one_to_all(part)).tobytes())
        return value if is_first else pickle.loads(b"".join(parts))

    def gather(self, value: T) -> list[T]:
        content = np.frombuffer(pickle.dumps(value, protocol=5), np.uint8)
        sizes = (
            _gather_bytes(np.frombuffer(np.int64(len(content)).tobytes(), np.uint8)).view(np.int64).ravel()
        )
        # Collectives need equal shapes on all processes.
        padded = np.zeros(sizes.max(), np.uint8)
        padded[: len(content)] = content
        return [pickle.loads(row[:size]) for row, size in zip(_gather_bytes(padded), sizes, strict=True)]

    def announce_failure(self, reason: str) -> str:
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # The key exists: another process was first.
            self._store.key_value_set(f"{KEY}/failure", reason)
        return self.failure() or reason

    def failure(self) -> str | None:
        try:
            return self._store.key_value_try_get(f"{KEY}/failure")
        except jax.errors.JaxRuntimeError:  # No such key: nobody has failed.
            return None

    def count_departed(self, more: int = 1) -> int:
        return int(self._store.key_value_increment(f"{KEY}/departed", more))


def _gather_bytes(row: np.ndarray) -> np.ndarray:
    """(processes, bytes): the rows of all processes."""
    return np.ascontiguousarray(multihost_utils.process_allgather(row))
