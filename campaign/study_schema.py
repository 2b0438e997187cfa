"""The JSON Schema of study files, made from the settings and flags that they hold: `study.schema.json` beside it.

    python -m campaign.study_schema        # writes it anew, after a setting or a flag was added

Names are those of the flags, in groups. Editors that know YAML complete and check a study file by it.
"""

import json
import types
import typing
from pathlib import Path
from typing import Any

from algoperf import files
from algoperf.settings import MAX_NUMBER, RunSettings, marks
from campaign import flags as campaign_flags
from campaign.options import ENGINES, OF_ENGINES, Options

VERSION = 1
"""Of study files; one that an older program would misread gets a higher one."""
FILE = Path(__file__).with_name("study.schema.json")
ENGINE = "name"
"""In the group of the engine: which one."""
GROUPS: dict[str, tuple[str, ...]] = {
    "": ("suite", "tuning_ruleset", "framework"),
    "seeds": ("rng_seed", "data_seed"),
    "limits": ("max_global_steps",),
}
"""Group -> settings of trials in it; those in none are in `run`."""
NAMES = {"tuning_ruleset": "ruleset", "max_global_steps": "max_steps"}
"""Setting -> its name in study files, where that is another."""
OF_ONE_TRIAL = (
    *("workload", "submission", "submission_path", "study", "trial", "num_tuning_trials"),
    *("experiment_dir", "experiment_name", "quiet", "overwrite"),
)
"""Settings that a study file has not, as the campaign sets them."""
COUNT = {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER}
LIMITS = {
    "num_studies": {**COUNT, "description": "Studies instead of the ruleset's number."},
    "num_trials": {**COUNT, "description": "Trials per study instead of the ruleset's number."},
    "first_study": {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER, "description": "From 0."},
    "frugal": {"type": "boolean", "description": "Stop trials that can no longer change a score."},
}
SCALAR = {"type": ["number", "string", "boolean", "null"]}
OPTIMIZER = {
    "type": "object",
    "properties": {
        "optimizer": {
            "type": "string",
            "minLength": 1,
            "description": "Such as torch.optim.AdamW, optax.adabelief or mine.py:MyOptimizer.",
        },
        "set": {
            "type": "object",
            "additionalProperties": {"anyOf": [SCALAR, {"type": "array", "items": SCALAR}]},
            "description": "Its arguments, and schedule, warmup and the like, as --set takes them.",
        },
    },
    "required": ["optimizer"],
    "additionalProperties": False,
}


def make() -> dict[str, Any]:
    """The schema."""
    hints = typing.get_type_hints(RunSettings)
    groups: dict[str, dict[str, Any]] = {"": {}, "seeds": {}, "limits": dict(LIMITS), "run": {}}
    for name, mark in marks().items():
        if name in OF_ONE_TRIAL or not mark.is_passed_on:
            continue
        group = next((one for one, names in GROUPS.items() if name in names), "run")
        entry = {**_type(hints[name]), "description": mark.help}
        bounds = {
            "minimum": mark.at_least,
            "maximum": mark.at_most,
            "enum": mark.choices and list(mark.choices),
        }
        entry |= {key: value for key, value in bounds.items() if value is not None}
        groups[group][NAMES.get(name, name)] = entry
    text = {"type": "string", "minLength": 1}
    top = {
        "version": {"type": "integer", "minimum": 1, "description": f"Of this form of file: {VERSION}."},
        "submissions": {
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [text, OPTIMIZER]},
            "description": "Folders, Python files or optimizers.",
        },
        "experiment_dir": {**text, "description": "Root of the results, from the working directory."},
        "workloads": {
            "type": "array",
            "items": text,
            "description": "Workloads instead of the suite's.",
        },
        "names": {
            "type": "array",
            "items": text,
            "description": "Names of the submissions in the results, where they are not those of their folders.",
        },
        "search_spaces": {
            "type": "array",
            "items": text,
            "description": "A search space for each of the submissions.",
        },
        "compare_to": {
            **text,
            "description": "Leaderboard among whose entries the scores place yours: mini.",
        },
        "calibrate": {
            "type": "boolean",
            "description": "Run the leaderboard's reference algorithm beside yours.",
        },
        "report": {"type": "boolean", "description": "Keep report.html current while trials run."},
        "engine": {"anyOf": [{"type": "string", "enum": list(ENGINES)}, _group(_of_engine())]},
        **groups.pop(""),
        **{name: _group(own) for name, own in groups.items()},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Study of algoperf",
        **_group(top),
        "required": ["version", "submissions"],
    }


def _of_engine() -> dict[str, Any]:
    hints = typing.get_type_hints(Options)
    names = dict.fromkeys(name for own in OF_ENGINES.values() for name in own)
    return {
        ENGINE: {"type": "string", "enum": list(ENGINES)},
        **{
            name: {
                **_type(hints[name]),
                "description": campaign_flags.SCHEDULERS.get(name, f"As --{name}."),
            }
            for name in names
        },
    }


def _group(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _type(hint: Any) -> dict[str, Any]:
    """Of a field, as JSON Schema says it; None means that it is left out."""
    if isinstance(hint, types.UnionType):
        (hint,) = set(typing.get_args(hint)) - {types.NoneType}
    if typing.get_origin(hint) is tuple:
        return {"type": "array", "items": {"type": "string"}}
    return {"type": {str: "string", int: "integer", bool: "boolean"}[hint]}


def text() -> str:
    """What is in `study.schema.json`."""
    return json.dumps(make(), indent=1) + "\n"


if __name__ == "__main__":
    files.write_text(FILE, text())
