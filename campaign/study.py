"""Study files: a campaign as one YAML file, `study.yaml`; and what `campaign.json` holds, which is one, too.

    version: 1
    submissions: [reference_algorithms/nadamw]
    suite: mini
    limits: {num_studies: 1}

Names are those of the flags, in groups (`study_schema`). Numbers, true and false are read as YAML 1.2 and JSON have
them, so that `1e-3` is a number, and `off` and `4:00:00` are texts.
"""

import dataclasses
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from algoperf import files
from algoperf.settings import RunSettings, given, marks
from algoperf.spec import UsageError
from campaign import study_schema
from campaign.job_plan import Campaign
from campaign.options import Options
from campaign.study_schema import ENGINE, GROUPS, NAMES, OF_ONE_TRIAL, VERSION

Place = tuple[str | int, ...]
"""Keys from the top of a study, as jsonschema gives them."""
OF_CAMPAIGN = ("num_studies", "num_trials", "first_study")
"""Limits that are fields of a campaign, not settings of its trials."""
WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a group of names and values",
}


@dataclasses.dataclass(frozen=True)
class Study:
    """The content of a study file that was found right."""

    path: Path
    content: dict[str, Any]

    def flags(self) -> dict[str, Any]:
        """Flag -> value, of all that the file says; submissions are as it lists them."""
        found: dict[str, Any] = {}
        for name, value in self.content.items():
            if name == "engine":
                own = {ENGINE: value} if isinstance(value, str) else value
                found |= {"engine" if key == ENGINE else key: one for key, one in own.items()}
            elif isinstance(value, dict):
                found |= value
            elif name != "version":
                found[name] = value
        return {_flag_of(name): value for name, value in found.items()}


def _flag_of(name: str) -> str:
    return {alias: setting for setting, alias in NAMES.items()}.get(name, name)


# ---- reading ----------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Reads scalars as YAML 1.2 does; PyYAML's own rules are those of 1.1."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _form, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_form})$"), list(_first))


def read(path: Path) -> Study:
    """The study in a file.

    Raises:
      UsageError: with the line, for what is no YAML, or nothing that a study has.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(
            f"Cannot read the study file {path} ({why}): give a YAML file as in docs/campaigns.md."
        ) from None
    return checked(path, text)


def checked(path: Path, text: str) -> Study:
    """The study in a text; `path` is for messages. Raises UsageError as `read`."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        lines: dict[Place, int] = {}
        if node is not None:
            _note_lines(node, (), lines)
        content = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UsageError(f"{path}:{line}: {error.problem or error.context}.") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:  # Odd characters; keys that are lists.
        raise UsageError(f"{path}: {' '.join(str(error).split())}.") from None
    finally:
        loader.dispose()
    _check_version(path, content, lines)
    problems = sorted(_problems(content), key=lambda one: (lines.get(one[0], 1), one[1]))
    if problems:
        place, what = problems[0]
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        raise UsageError(f"{path}:{lines.get(place, 1)}: {what}{more}.")
    assert isinstance(content, dict)
    return Study(path, content)


def _note_lines(node: yaml.Node, place: Place, lines: dict[Place, int]) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, key.value)
            if inner in lines:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} is given twice, first in line {lines[inner]}", key.start_mark
                )
            lines[inner] = key.start_mark.line + 1
            _note_lines(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*place, index), lines)


def _check_version(path: Path, content: object, lines: Mapping[Place, int]) -> None:
    """Raises UsageError for a file of a later version, before anything in it is called wrong."""
    found = content.get("version") if isinstance(content, dict) else None
    if type(found) is int and found > VERSION:
        raise UsageError(
            f"{path}:{lines.get(('version',), 1)}: it is of version {found} of study files, and this program knows "
            f"{VERSION}: use a newer one of this project."
        )


def _problems(content: object) -> Iterator[tuple[Place, str]]:
    """Where and what is wrong, one clause each."""
    import jsonschema  # Takes a tenth of a second.

    for error in jsonschema.Draft202012Validator(study_schema.make()).iter_errors(content):
        yield from _clauses(error)


def _clauses(error: Any) -> Iterator[tuple[Place, str]]:
    place: Place = tuple(error.absolute_path)
    where = _shown(place) or "the file"
    value, wanted = error.instance, error.validator_value
    if error.validator == "additionalProperties":
        choices = list(error.schema["properties"])
        for name in sorted(str(one) for one in value if one not in choices):
            near = difflib.get_close_matches(name, choices, n=1)
            nearest = f"; the nearest is {near[0]!r}" if near else ""
            yield (
                (*place, name),
                f"{_shown((*place, name))} means nothing{nearest}; choose from {', '.join(choices)}",
            )
    elif error.validator == "required":
        for name in wanted:
            if name not in value:
                yield place, f"{where} lacks {name!r}"
    elif error.validator == "anyOf":
        kind = "object" if isinstance(value, dict) else "string"
        own = [one for one in error.context if _is_for(one, kind)]
        if own and (isinstance(value, dict) or own[0].validator != "type"):
            for one in own:
                yield from _clauses(one)
        else:
            yield place, f"{where} must be a name or a group of names and values, got {_json(value)}"
    elif error.validator == "enum":
        near = difflib.get_close_matches(str(value), wanted, n=1)
        nearest = f"; the nearest is {near[0]!r}" if near else ""
        yield place, f"{where} must be one of {', '.join(wanted)}, got {_json(value)}{nearest}"
    elif error.validator == "type":
        kinds = wanted if isinstance(wanted, list) else [wanted]
        yield (
            place,
            f"{where} must be {' or '.join(WORDS.get(str(one), str(one)) for one in kinds)}, got {_json(value)}",
        )
    elif error.validator in ("minimum", "maximum"):
        side = "at least" if error.validator == "minimum" else "at most"
        yield place, f"{where} must be {side} {wanted}, got {_json(value)}"
    else:  # Empty texts and lists.
        yield place, f"{where} is empty"


def _is_for(error: Any, kind: str) -> bool:
    """Whether an error is of that branch of a choice which is for values of a kind."""
    parent = error.parent.validator_value[error.relative_schema_path[0]]
    return bool(parent.get("type") == kind)


def _shown(place: Place) -> str:
    """For example 'limits.num_studies' or 'submissions[1]'.

    >>> _shown(("submissions", 1, "set"))
    "'submissions[1].set'"
    """
    parts = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in place)
    return f"'{parts.removeprefix('.')}'" if parts else ""


def _json(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


# ---- campaigns --------------------------------------------------------------------------------------------------


def content_of(campaign: Campaign, options: Options | None = None, **others: Any) -> dict[str, Any]:
    """A campaign as the content of a study file.

    Args:
      campaign: what is run.
      options: how; None leaves the engine out.
      others: `frugal` and `report`, where they are to be in it.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(RunSettings)}
    groups: dict[str, dict[str, Any]] = {"": {}, "seeds": {}, "limits": {}, "run": {}}
    for name, value in dataclasses.asdict(campaign.settings).items():
        group = next((one for one, names in GROUPS.items() if name in names), "run")
        if name not in OF_ONE_TRIAL and (value != defaults[name] or group == ""):
            groups[group][NAMES.get(name, name)] = value
    limits = {name: getattr(campaign, name) for name in OF_CAMPAIGN}
    groups["limits"] |= {name: value for name, value in limits.items() if value}
    if others.get("frugal") is not None:
        groups["limits"]["frugal"] = others["frugal"]
    found = {
        "version": VERSION,
        "submissions": list(campaign.submissions),
        "workloads": list(campaign.workloads) or None,
        "names": list(campaign.names) or None,
        "search_spaces": list(campaign.search_spaces) or None,
        "experiment_dir": str(campaign.experiment_dir),
        "compare_to": campaign.compare_to,
        "calibrate": campaign.calibrate or None,
        "report": others.get("report") or None,
        **groups.pop(""),
        "engine": None if options is None else _plain(options.of_engine()),
        **{name: own or None for name, own in groups.items()},
    }
    return {name: value for name, value in found.items() if value is not None}


def campaign_of(study: Study, experiment_dir: Path) -> Campaign:
    """The campaign that a study file of `content_of` holds."""
    values = study.flags()
    own = {field.name: field for field in dataclasses.fields(Campaign)}
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if name in own
    }
    settings = {name: value for name, value in values.items() if name in marks()}
    settings.pop("experiment_dir", None)
    return Campaign(**{**fields, "experiment_dir": experiment_dir, "settings": given(settings)})


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in content.items()}


def paths_from(path: Path, name: str) -> str:
    """A path in a study file: one beside the file where there is such a file or folder, else as it is.

    Of an optimizer in a file, `./mine.py:Mine`, that file counts.
    """
    file, suffix, member = name.partition(".py:")
    beside = path.parent / files.expanded(file + ".py" if suffix else name)
    return f"{beside}{suffix and ':'}{member}" if name and beside.exists() else name
