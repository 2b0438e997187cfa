"""The end of a trial: what goes into its summary.json and what a person reads."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from algoperf import machine, tuning
from algoperf.run import clock

if TYPE_CHECKING:
    from algoperf.run.training import TrialState
    from algoperf.run.trial import Trial


def results(trial: "Trial", status: str) -> dict[str, Any]:
    """Everything of a summary.json that comes from the trial's state; `status` is one of `records.STATUSES`."""
    config, state, spec = trial.config, trial.state, trial.config.workload
    key = f"validation/{spec.target_metric_name}"
    rows = [
        (step, metrics) for step, metrics in state.eval_results if math.isfinite(metrics.get(key, math.nan))
    ]
    pick = max if spec.higher_is_better else min
    best = pick(rows, key=lambda row: row[1][key]) if rows else None
    last = state.eval_results[-1] if state.eval_results else None
    if last is not None and status != "failed" and not state.validation_goal_reached:
        losses = [value for name, value in last[1].items() if name.endswith("loss")]
        if not all(map(math.isfinite, [*losses, last[1].get(key, 0.0)])):
            status = "diverged"
    trial.warnings += [
        f"Hyperparameter {name!r} was never read by the submission."
        for name in tuning.unread(trial.hyperparameters)
    ]
    return {
        "status": status,
        "submission": config.submission.name,
        "workload": spec.name,
        "framework": config.framework,
        "ruleset": config.settings.tuning_ruleset,
        "suite": config.suite,
        "study": config.settings.study,
        "trial": config.trial,
        "hyperparameters": config.point,
        "unread_hyperparameters": tuning.unread(trial.hyperparameters),
        "global_batch_size": trial.batch_size,
        "global_step": state.global_step,
        "submission_time_sec": trial.ledger.submission_ns * 1e-9,
        "budget_sec": config.budget_sec,
        "target_metric": spec.target_metric_name,
        "validation_target": spec.validation_target_value,
        "test_target": spec.test_target_value,
        "validation_target_reached": _first_hit(state, trial.workload.has_reached_validation_target),
        "test_target_reached": _first_hit(state, trial.workload.has_reached_test_target),
        "best": None if best is None else {"global_step": best[0], **best[1]},
        "last": None if last is None else {"global_step": last[0], **last[1]},
        "num_evaluations": len(state.eval_results),
        "eval_every_steps": config.settings.eval_every_steps,
        "preemption_count": trial.preemption_count,
        "peak_memory": {
            "host_bytes": machine.peak_host_memory_bytes(),
            "device_bytes": trial.backend.device_memory(),
        },
        "device": trial.backend.describe_device(),
        "identity": config.identity(),
    }


def _first_hit(
    state: "TrialState", has_reached: Callable[[dict[str, float]], bool]
) -> dict[str, float] | None:
    for (step, metrics), seconds in zip(state.eval_results, state.eval_times_sec, strict=True):
        if has_reached(metrics):
            return {"submission_time_sec": seconds, "global_step": step}
    return None


def describe(summary: dict[str, Any], folder: Path) -> str:
    """What a person wants to read at the end of a trial."""
    lines = []
    metric = summary["target_metric"]
    hit = summary["validation_target_reached"]
    again = " (finished earlier; --overwrite runs it again)" if summary.get("already_finished") else ""
    lines.append(
        f"{summary['submission']} on {summary['workload']} ({summary['framework']}), study {summary['study']}, "
        f"trial {summary['trial']}: {summary['status']}{again}"
    )
    for split, key in (("validation", "validation_target_reached"), ("test", "test_target_reached")):
        hit = summary[key]
        target = summary[f"{split}_target"]
        when = (
            f"reached at {hit['submission_time_sec']:.2f} s, step {hit['global_step']:,}"
            if hit
            else "not reached"
        )
        last = (summary["last"] or {}).get(f"{split}/{metric}")
        best = (summary["best"] or {}).get(f"{split}/{metric}")
        values = "" if last is None or best is None else f"; last {last:.4g}, at best validation {best:.4g}"
        lines.append(f"  {split} {metric} target {target:g}: {when}{values}")
    ledger = summary["ledger"]
    shares = ", ".join(f"{name} {ledger[name]:.2f}" for name in clock.BUCKETS if ledger[name] >= 0.005)
    lines.append(
        f"  submission time {summary['submission_time_sec']:.2f} s of {summary['budget_sec']:g} s, "
        f"{summary['global_step']:,} steps, batch size {summary['global_batch_size']}"
    )
    lines.append(f"  time ledger (s): {shares}; total {ledger['total']:.2f}, wall {ledger['wall']:.2f}")
    memory = summary["peak_memory"]
    device = "".join(f", {name} {size / 2**30:.2f} GiB" for name, size in memory["device_bytes"].items())
    lines.append(f"  peak memory: host {memory['host_bytes'] / 2**30:.2f} GiB{device}")
    lines += [f"  warning: {text}" for text in summary["warnings"]]
    if summary["error"]:
        lines.append("  " + summary["error"].strip().replace("\n", "\n  "))
    lines.append(f"  records: {folder}")
    return "\n".join(lines)
