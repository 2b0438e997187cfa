"""A Slurm of one node on this machine, of its own: slurmctld and slurmd of Debian's slurm-wlm, without munge.

Needs root, as slurmd starts processes for others. Nothing of an installed Slurm is touched: its own ports and folders.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "srun", "scancel")
START_SEC = 60
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=10000,defer=0,requeue_delay=0
KillWait=10
MinJobAge=2
OverTimeLimit=0
ReturnToService=2
InactiveLimit=0
SlurmdTimeout=300
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=6
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10
"""


def why_not():
    """Why no Slurm can be started here; '' if one can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)} here (apt-get install slurmctld slurmd slurm-client)"
    return "" if os.geteuid() == 0 else "slurmd needs root"


def _free_port():
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def running(folder):
    """Within this, SLURM_CONF names a Slurm of one node that answers."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    path = folder / "slurm.conf"
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    path.write_text(
        CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            controller_port=_free_port(),
            node_port=_free_port(),
            folder=folder,
            cpus=len(os.sched_getaffinity(0)),
        )
    )
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(path)
    log = open(folder / "daemons.log", "w")  # noqa: SIM115 - of two processes
    daemons = []
    try:
        for program in ("slurmctld", "slurmd"):
            daemons.append(
                subprocess.Popen(
                    [shutil.which(program), "-D", "-f", str(path)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        end = time.monotonic() + START_SEC
        while "idle" not in (said := _said("sinfo", "--noheader", "--format=%T")):
            if time.monotonic() > end or any(one.poll() is not None for one in daemons):
                logs = "\n".join(one.read_text()[-2000:] for one in folder.glob("*.log"))
                raise RuntimeError(f"Slurm has not started: {said}\n{logs}")
            time.sleep(0.2)
        yield path
    finally:
        _said("scancel", "--user=root")
        for one in reversed(daemons):
            one.terminate()
        for one in daemons:
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.wait(20)
            one.kill()
            one.wait()
        log.close()
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


def _said(*command):
    found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return found.stdout + found.stderr
