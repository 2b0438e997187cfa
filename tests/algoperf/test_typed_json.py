"""JSON of other people becomes objects with checked types, or one clause that names the place."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypedDict

import pytest

from algoperf import typed_json
from algoperf.typed_json import MalformedError, typed


class Reached(TypedDict):
    step: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    size: float = 1.0

    def __post_init__(self):
        if self.size <= 0:
            raise ValueError("size must be positive.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    name: str
    count: int | None = None
    share: float = 0.5
    is_done: bool = False
    tags: tuple[str, ...] = ()
    numbers: list[int] = dataclasses.field(default_factory=list)
    inner: Inner = Inner()
    table: Mapping[str, Inner] = dataclasses.field(default_factory=dict)
    reached: Reached | None = None
    rest: dict[str, Any] | None = None


def test_what_fits_is_taken_with_the_types_of_the_fields():
    content = {
        **{"name": "a", "count": None, "share": 1, "is_done": True, "tags": ["x"], "numbers": [1]},
        **{"inner": {"size": 2}, "table": {"b": {}}, "reached": {"step": 3}, "rest": {"k": [None]}},
    }
    assert typed(Record, content) == Record(
        **{"name": "a", "share": 1, "is_done": True, "tags": ("x",), "numbers": [1]},
        **{"inner": Inner(size=2), "table": {"b": Inner()}, "reached": {"step": 3}, "rest": {"k": [None]}},
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], r"^it must be an object in braces, got \[\]$"),
        ({}, r"^it lacks 'name'$"),
        ({"name": None}, r"^'name' must be a text, got null$"),
        ({"count": True}, r"^'count' must be a whole number, got true$"),
        ({"count": 1.0}, r"^'count' must be a whole number, got 1.0$"),
        ({"share": "1"}, r"^'share' must be a number, got '1'$"),
        ({"share": math.nan}, r"^'share' must be a finite number, got nan$"),
        ({"share": 10**400}, r"^'share' must be a finite number, got 1000"),
        ({"is_done": "false"}, r"^'is_done' must be true or false, got 'false'$"),
        ({"is_done": 1}, r"^'is_done' must be true or false, got 1$"),
        ({"tags": "x"}, r"^'tags' must be a list, got 'x'$"),
        ({"numbers": [1, "2"]}, r"^'numbers\[1\]' must be a whole number, got '2'$"),
        ({"inner": {"size": -1}}, r"^'inner' cannot be right: size must be positive$"),
        (
            {"table": {"b": {"sise": 1}}},
            r"^'table.b' has a key 'sise' that means nothing; the nearest is 'size'$",
        ),
        ({"reached": {}}, r"^'reached' lacks 'step'$"),
        ({"nmae": 1}, r"^it has a key 'nmae' that means nothing; the nearest is 'name'$"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_one_clause_with_its_place(content, words):
    if isinstance(content, dict) and content:
        content = {"name": "a", **content}
    with pytest.raises(MalformedError, match=words):
        typed(Record, content)


def test_what_another_version_wrote_is_read_as_far_as_it_is_known():
    assert typed(Record, {"name": "a", "later": 1, "reached": {}}, allows_others=True).name == "a"


def test_a_value_is_shown_in_as_few_characters_as_a_line_has():
    for value in ("x" * 1000, list(range(1000)), {str(n): n for n in range(1000)}, 10**10_000, -(10**10_000)):
        assert len(typed_json.shown(value)) <= typed_json.MAX_SHOWN
