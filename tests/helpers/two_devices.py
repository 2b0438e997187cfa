"""Starts a script on two devices, in each way that a run can have them."""

import os
import socket
import subprocess
import sys

from harness import ROOT, finish

LAYOUTS = ("jax_devices", "jax_hosts", "pytorch_processes", "pytorch_hosts")

HEAD = """
import sys
from pathlib import Path

sys.path[:0] = [{root!r}, {helpers!r}]
from algoperf import backends
from algoperf.hosts import Hosts

framework, folder, coordinator, host = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]
if coordinator:
    hosts = Hosts(coordinator=coordinator, num_hosts=2, host_id=int(host), timeout_sec=120)
    backends.launch(framework).join_hosts(hosts)
backend = backends.get_backend(framework)
assert backend.num_devices() == 2, backend.num_devices()
"""


def framework_of(layout):
    """'jax' or 'pytorch'."""
    return layout.split("_")[0]


def num_processes(layout):
    """How many processes take part."""
    return 1 if layout == "jax_devices" else 2


def free_port():
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def start(layout, folder, body):
    """Starts HEAD, which defines `backend`, `framework` and `folder`, and `body`; returns what was started."""
    script = folder / "script.py"
    script.write_text(HEAD.format(root=str(ROOT), helpers=str(ROOT / "tests" / "helpers")) + body)
    address = f"localhost:{free_port()}"
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    rest = [str(script), framework_of(layout), str(folder)]
    rendezvous = [f"--rdzv_endpoint={address}", "--rdzv_backend=c10d", "--rdzv_id=test"]
    commands = {
        "jax_devices": [[sys.executable, *rest, "", ""]],
        "jax_hosts": [[sys.executable, *rest, address, str(host)] for host in range(2)],
        "pytorch_processes": [[*torchrun, "--standalone", "--nproc_per_node=2", *rest, "", ""]],
        "pytorch_hosts": [[*torchrun, "--nnodes=2", "--nproc_per_node=1", *rendezvous, *rest, "", ""]] * 2,
    }[layout]
    devices = "--xla_force_host_platform_device_count=2" if layout == "jax_devices" else ""
    # Stripped, as XLA takes a blank for the name of a file.
    environment = {**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {devices}".strip()}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) for command in commands]


def run(layout, folder, body, timeout=300):
    """(exit codes, what all wrote to stderr) of `start`."""
    started = start(layout, folder, body)
    try:
        ends = [finish(process, timeout) for process in started]
    finally:
        for process in started:
            process.kill()
    return [code for code, _, _ in ends], "\n".join(err for _, _, err in ends)
