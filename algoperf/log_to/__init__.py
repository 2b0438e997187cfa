"""Sends the records of a trial to where people look: TensorBoard, Weights & Biases, MLflow (`--log_to`).

A destination is one file here, `to_<name>.py`, with `PACKAGE` and `make`, see `destination.Destination`; its package is
an extra of the same name and is imported when a trial begins. CSV and JSON stay the record: what is sent is read from
them while the clock stands still, and nothing of it can end or change a run (`follower`).
"""

import importlib.util
from collections.abc import Sequence

from algoperf.log_to.destination import module_of
from algoperf.spec import UsageError


def check_installed(names: Sequence[str]) -> None:
    """Raises UsageError with the command that installs what some destinations need; imports none of it."""
    packages = {name: module_of(name).PACKAGE for name in names}
    missing = {name: package for name, package in packages.items() if not _is_installed(package)}
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise UsageError(
            f"--log_to={','.join(names)} needs the package{plural} {', '.join(missing.values())}, not installed here: "
            f"run `pip install -e '.[{','.join(missing)}]'`, or leave {', '.join(missing)} out of --log_to."
        )


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
