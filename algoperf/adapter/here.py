"""Adapts an optimizer in this process, which imports its framework: what the process of `adapt.as_submission` runs."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf import frameworks, tuning
from algoperf.adapter import call as calls
from algoperf.adapter import folder, given, named, plan, signature


def as_submission(
    text: str,
    framework: str | None,
    settings: Mapping[str, Any],
    space: tuning.SearchSpace | None,
    root: Path,
    eject: Path | None = None,
) -> Path:
    """See `adapt.as_submission`; `text` names an optimizer, `space` is the content of a file.

    Args:
      text: names an optimizer.
      framework: what the command says.
      settings: as of `--set`.
      space: content of a search space.
      root: folder of adapted submissions.
      eject: a new folder to write instead.

    Raises:
      UsageError: for whatever a person can put right.
    """
    if space is not None:
        tuning.check_search_space(space)
    optimizer = signature.load(named.parse(text), framework)
    sorted_out = given.sorted_out(settings, optimizer.names)
    ranges = plan.sample(space)
    call = calls.bind(optimizer, sorted_out.arguments, ranges)
    calls.check_space(call, ranges)
    made = plan.make(call, sorted_out.shared, space, _traits_of(call))
    content = folder.contents(made, settings)
    if eject is not None:
        return folder.eject(eject, content)
    return folder.write(root, folder.name_of(made, settings), content)


def _traits_of(call: calls.Call) -> plan.Traits:
    suffix = frameworks.get(call.optimizer.framework).suffix
    probe = importlib.import_module(f"algoperf.adapter.probe_{suffix}")  # Imports the framework.
    traits = probe.traits_of(call)
    assert isinstance(traits, plan.Traits)
    return traits
