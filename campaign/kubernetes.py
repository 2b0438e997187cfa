"""A Kubernetes Job with an index per trial, and the ConfigMap with the list that its pods read.

Format: https://kubernetes.io/docs/concepts/workloads/controllers/job/ (batch/v1, Indexed).
"""

import hashlib
import shlex
from typing import Any

from algoperf.spec import UsageError
from campaign.containers import Trials

MAX_LIST_BYTES = 900_000
"""A ConfigMap holds 1 MiB: https://kubernetes.io/docs/concepts/configuration/configmap/."""
GRACE_SEC = 300
"""Between SIGTERM and SIGKILL, to write a checkpoint."""
RETRIES = 1
"""Of a trial that crashes, as with other engines; a pod that is evicted does not count."""
LIST_FOLDER, LIST = "/plan", "trials.txt"


def documents(trials: Trials) -> list[dict[str, Any]]:
    """The two documents of kubernetes.yaml.

    Raises:
      UsageError: if there are too many trials for one Job.
    """
    listed = trials.lines()
    if len(listed.encode()) > MAX_LIST_BYTES:
        raise UsageError(
            f"{len(trials.own)} trials are too many for one Kubernetes Job: plan them in parts, by --num_studies or "
            "--workloads."
        )
    # A changed list gets another name, or pods of an earlier Job would read it.
    digest = hashlib.sha256("\n".join([*trials.shared, listed, trials.image]).encode()).hexdigest()[:10]
    name = f"algoperf-{digest}"
    labels = {"app.kubernetes.io/name": "algoperf"}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": labels},
            "data": {LIST: listed},
        },
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "completionMode": "Indexed",
                "completions": len(trials.own),
                "parallelism": min(trials.options.workers or len(trials.own), len(trials.own)),
                "backoffLimitPerIndex": RETRIES,
                "maxFailedIndexes": len(trials.own),
                "podFailurePolicy": {
                    "rules": [
                        # Evicted or preempted: the next pod goes on from the checkpoint.
                        {
                            "action": "Ignore",
                            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                        },
                        # Wrong input: trying again is of no use.
                        {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [2]}},
                        # The shared disk is full.
                        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [74]}},
                    ]
                },
                "template": {"metadata": {"labels": labels}, "spec": _pod(trials, name)},
            },
        },
    ]


def _pod(trials: Trials, name: str) -> dict[str, Any]:
    command = shlex.join([*trials.program, *trials.shared])
    container: dict[str, Any] = {
        "name": "trial",
        "image": trials.image,
        # exec: the trial itself gets SIGTERM, and writes its checkpoint.
        "command": [
            "/bin/sh",
            "-c",
            f'eval "set -- $(sed -n "$((JOB_COMPLETION_INDEX + 1))p" {LIST_FOLDER}/{LIST})" && exec {command} "$@"',
        ],
        "volumeMounts": [
            {"name": "results", "mountPath": trials.mount},
            {"name": "plan", "mountPath": LIST_FOLDER, "readOnly": True},
            {"name": "shm", "mountPath": "/dev/shm"},
        ],
    }
    amounts = resources(trials)
    if amounts:
        container["resources"] = {"requests": dict(amounts), "limits": dict(amounts)}
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SEC,
        "containers": [container],
        "volumes": [
            {"name": "results", "persistentVolumeClaim": {"claimName": trials.claim}},
            {"name": "plan", "configMap": {"name": name}},
            # Data loaders and the referee share memory; a pod has 64 MiB of it otherwise.
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
        ],
    }


def resources(trials: Trials) -> dict[str, str]:
    """What a pod asks for, and is limited to: whole processors, so that no other pod shares them."""
    options = trials.options
    found: dict[str, str] = {}
    if options.cpus_per_trial is not None:
        found["cpu"] = str(options.cpus_per_trial)
    if options.mem_bytes is not None:
        found["memory"] = f"{-(-options.mem_bytes // 2**20)}Mi"
    if options.gpus_per_trial:
        found["nvidia.com/gpu"] = str(options.gpus_per_trial)
    return found
