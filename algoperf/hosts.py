"""Where the processes of a run are: hosts that connect by the command line, and what a launcher has started."""

import dataclasses

from algoperf.spec import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hosts:
    """The address at which the hosts of a run connect; the same on each host except for `host_id`."""

    coordinator: str
    """host:port of host 0, or 'auto' to take it from the cluster's environment (Slurm, Open MPI, TPU pods)."""
    num_hosts: int | None = None
    host_id: int | None = None
    """Number of this host, from 0."""
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
        # From the right: an IPv6 address has colons of its own.
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
        """The hosts that the flags describe; None without --coordinator.

        Raises:
          UsageError: if the flags contradict each other.
        """
        if coordinator:
            return cls(coordinator=coordinator, num_hosts=num_hosts, host_id=host_id, timeout_sec=timeout_sec)
        for name, value in (("num_hosts", num_hosts), ("host_id", host_id)):
            if value is not None:
                raise UsageError(f"--{name}={value} needs --coordinator=<host:port of host 0>.")
        return None


@dataclasses.dataclass(frozen=True)
class Launched:
    """The place of this process among those that a launcher has started."""

    index: int
    """Its number, from 0."""
    count: int
    """How many there are."""
    on_host: int
    """How many of them run on this host."""
