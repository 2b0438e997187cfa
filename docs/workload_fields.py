"""Writes docs/workload_fields.md: every field of a workload, its files and a suite, from the code that reads them.

python docs/workload_fields.py
"""

import ast
import dataclasses
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from algoperf import families, suites, workload
from algoperf.metrics import averages

PAGE = Path(__file__).with_suffix(".md")

INTRODUCTION = """\
# Fields of workloads and suites

Made by `python docs/workload_fields.py` from the code that reads them; a test holds that it is current. How a workload
is put together: [adding_a_workload.md](adding_a_workload.md).
"""

DEFAULT_OUTPUTS = """\
## Default outputs of an evaluation

Without `eval_outputs` in its model files, a workload's evaluation step gives these, and without a `metrics.py` outputs
are averaged over the examples of weight 1, each under its own name.
"""

SUITE_FILE = """\
## A suite file

`algoperf/suites/<name>.json`, or any other JSON file whose path is given instead of a name. A file with `targets` alone
takes the rest from `mini`, or from `algoperf_v06` if it has a workload of full size.

| key | type | default | meaning |
| --- | --- | --- | --- |
"""

SUITE_TARGETS = """\
| `targets` | `Mapping[str, WorkloadTargets]` | required | Workload -> numbers frozen with the suite. \
A workload without an entry takes them from its own spec. |
| `variants` | `Mapping[str, dict]` | required | Variant -> its `base` in `targets` and the fields that differ. |
"""


def page() -> str:
    """The whole text."""
    parts = [INTRODUCTION]
    for described in (workload.WorkloadSpec, workload.Variant, workload.Family):
        parts.append(section(described, f"`{described.__name__}` in workload.py"))
    for stem, declared in families.FILES.items():
        if stem != "workload":
            parts.append(section(declared, f"`{stem}.py`"))
    parts.append(DEFAULT_OUTPUTS + "\n" + table(averages.DefaultOutputs))
    parts.append(
        SUITE_FILE
        + "".join(row for row in rows(suites.Suite) if "`known_targets`" not in row)
        + SUITE_TARGETS
    )
    parts.append(section(suites.Ruleset, "An entry of `rulesets`"))
    parts.append(section(suites.WorkloadTargets, "An entry of `targets`"))
    return "\n".join(parts)


def section(described: type, title: str) -> str:
    """A heading, the class's own first sentence, and its table."""
    about = " ".join((inspect.getdoc(described) or "").split("\n\n")[0].split())
    return f"## {title}\n\n{about.removeprefix(f'{title}: ')}\n\n{table(described)}"


def table(described: type) -> str:
    return "| name | type | default | meaning |\n| --- | --- | --- | --- |\n" + "".join(rows(described))


def rows(described: type) -> Iterator[str]:
    """A line of the table for each field; fields of base classes come first."""
    for name, (annotation, default, meaning) in fields(described).items():
        cells = (f"`{name}`", f"`{annotation}`", f"`{default}`" if default else "required", meaning)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def fields(described: type) -> dict[str, tuple[str, str, str]]:
    """Field -> type, default ('' where it is required), and the docstring under it, as they are written."""
    found: dict[str, tuple[str, str, str]] = {}
    for parent in reversed(described.__mro__):
        if not (dataclasses.is_dataclass(parent) or parent is described):
            continue
        [source] = ast.parse(inspect.getsource(parent)).body
        assert isinstance(source, ast.ClassDef)
        for node, following in zip(source.body, [*source.body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                text = _docstring(following)
                default = "" if node.value is None else _shown(node.value)
                if not dataclasses.is_dataclass(parent):
                    default = "none"  # A key of a dictionary.
                found[node.target.id] = (ast.unparse(node.annotation), default, " ".join(text.split()))
    return found


def _docstring(node: ast.stmt | None) -> str:
    """The text that stands alone in a line, '' for any other."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return str(node.value.value)
    return ""


def _shown(value: ast.expr) -> str:
    """A default as it is written; `{}` for a factory, '' for a field without a default."""
    if isinstance(value, ast.Call) and ast.unparse(value.func).endswith("field"):
        keywords = {keyword.arg for keyword in value.keywords}
        return "{}" if "default_factory" in keywords else ""
    return ast.unparse(value)


if __name__ == "__main__":
    PAGE.write_text(page())
