"""Where the processes of a run on several hosts meet, as the command line says it."""

import dataclasses

from algoperf.spec import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hosts:
    """Where the processes of a run on several hosts meet; the same on each but for `host_id`."""

    coordinator: str
    """host:port of host 0, or 'auto' where the cluster's environment (Slurm, Open MPI, TPU pods) says it."""
    num_hosts: int | None = None
    host_id: int | None = None
    """From 0."""
    timeout_sec: int = 300
    """How long to wait for the other hosts."""

    def __post_init__(self) -> None:
        if self.timeout_sec < 1:
            raise UsageError(f"--hosts_timeout_sec must be at least 1, got {self.timeout_sec}.")
        if self.coordinator == "auto":
            if (self.num_hosts, self.host_id) != (None, None):
                raise UsageError(
                    "--coordinator=auto takes the number of hosts from the cluster's environment: leave out "
                    "--num_hosts and --host_id, or name the coordinator as host:port."
                )
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise UsageError(
                f"--coordinator must be host:port of host 0, for example node0:1234, or auto; got {self.coordinator!r}."
            )
        if self.num_hosts is None or self.host_id is None:
            raise UsageError(
                f"--coordinator={self.coordinator} needs --num_hosts and --host_id, on host 0 --host_id=0."
            )
        if not 0 <= self.host_id < self.num_hosts:
            raise UsageError(
                f"--host_id={self.host_id} must be one of 0 to {self.num_hosts - 1} with --num_hosts={self.num_hosts}."
            )

    @classmethod
    def from_flags(
        cls, coordinator: str | None, num_hosts: int | None, host_id: int | None, timeout_sec: int
    ) -> "Hosts | None":
        """None without --coordinator.

        Raises:
          UsageError: for flags that do not fit together.
        """
        if coordinator:
            return cls(coordinator=coordinator, num_hosts=num_hosts, host_id=host_id, timeout_sec=timeout_sec)
        for name, value in (("num_hosts", num_hosts), ("host_id", host_id)):
            if value is not None:
                raise UsageError(f"--{name}={value} needs --coordinator=<host:port of host 0>.")
        return None
