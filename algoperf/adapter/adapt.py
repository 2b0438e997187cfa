"""From the name of an optimizer to the folder of a submission, by a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf import files, tuning
from algoperf.adapter import objects
from algoperf.adapter.named import is_optimizer
from algoperf.spec import UsageError
from algoperf.submission_import import PROJECT

TIMEOUT_SEC = 600.0
"""Of the process: far above what the import of a framework and a few small steps take."""


def as_submission(
    what: object,
    *,
    framework: str | None = None,
    settings: Mapping[str, Any] | None = None,
    root: Path,
    search_space: "Path | str | tuning.SearchSpace | None" = None,
    eject: Path | None = None,
) -> Path:
    """The folder of the submission that an optimizer is; a submission is returned as it is.

    The optimizer is imported, and tried on a few small parameters, in a process of its own: this one imports no
    framework, and nothing of the user's.

    Args:
      what: 'torch.optim.AdamW', 'optax.adabelief', './mine.py:MyOptimizer', a class or function, or the path of a
        submission.
      framework: its name; None takes the optimizer's own.
      settings: arguments by the names of the optimizer's own signature, and shared ones: `schedule`, `warmup`, `clip`,
        `label_smoothing`, `dropout`, `batch_size`, `decay`, `matrices`, `rest_lr`, `rest_weight_decay`.
      root: where folders are written; the same optimizer with the same settings has the same one.
      search_space: file or content of a search space over the same names; what is set is the only point without one.
      eject: a new folder to write to, in place of one below `root`.

    Raises:
      UsageError: for a name, setting or optimizer that cannot be used; names the choices or the reason.
    """
    settings = dict(settings or {})
    if not is_optimizer(what):
        given = what if isinstance(what, (str, Path)) else str(what)
        if settings or eject is not None:
            raise UsageError(
                f"{'--eject' if eject is not None else '--set'} goes with an optimizer such as torch.optim.AdamW; "
                f"{given} is a submission, whose search space has its hyperparameters: leave it out."
            )
        return Path(given)
    if isinstance(search_space, (str, Path)):
        search_space = tuning.load_search_space(files.expanded(search_space))
    with tempfile.TemporaryDirectory() as sources:
        request = {
            "text": what if isinstance(what, str) else objects.name_of(what, Path(sources)),
            "framework": framework,
            "settings": settings,
            "space": search_space,
            "root": str(root.absolute()),
            "eject": None if eject is None else str(eject.absolute()),
        }
        return Path(_asked(request))


def _asked(request: Mapping[str, Any]) -> str:
    """What a process of its own answers."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])),
        # Small parameters are tried on the CPU: a GPU may be exclusive to the trial, and compiling takes longer.
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "TORCH_COMPILE_DISABLE": "1",
    }
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder, "request.json"), Path(folder, "answer.json")
        asked.write_text(json.dumps(request))
        command = [sys.executable, "-m", "algoperf.adapter", str(asked), str(answer)]
        try:
            ended = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SEC
            )
        except subprocess.TimeoutExpired:
            raise UsageError(
                f"Importing and trying {request['text']} took more than {TIMEOUT_SEC:g} s: it cannot be adapted."
            ) from None
        found = files.read_json_or_none(answer)
    if not isinstance(found, dict):
        last = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
        raise UsageError(f"Importing and trying {request['text']} ended its process: {last}")
    if "error" in found:
        raise UsageError(found["error"])
    return str(found["path"])
