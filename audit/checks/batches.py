"""What a submission does with examples (R3.11), and in which precision it passes them and the parameters on (R11.4)."""

import ast
from collections.abc import Iterator

from audit.findings import Check, Finding, Grade
from audit.paths import root
from audit.program import Event, Program

CHANGED_EXAMPLE = Check(
    "changed-example",
    ("R3.11",),
    Grade.REVIEW,
    "{what} computes with the content of examples.",
    "Examples may be drawn, skipped, reordered, kept and used again, but not changed.",
)
CAST_MODEL = Check(
    "cast-model",
    ("R11.4", "R3.12"),
    Grade.FORBIDDEN,
    "{what} casts the model or its inputs.",
    "Only the submission's own quantities may have another precision (R11.5).",
)
PARTS = ("[inputs]", "[targets]", "[weights]")
CHANGES = frozenset(
    {
        *(
            "flip",
            "roll",
            "rot90",
            "randn_like",
            "rand_like",
            "interpolate",
            "affine_grid",
            "grid_sample",
            "fliplr",
        ),
        *(
            "flipud",
            "one_hot",
            "resize",
            "add_",
            "mul_",
            "sub_",
            "lerp",
            "lerp_",
            "clamp_",
            "normal_",
            "uniform_",
        ),
        *("bernoulli_", "fill_", "masked_fill", "masked_fill_", "copy_", "dropout", "pad", "zero_", "div_"),
        *(
            "where",
            "clip",
            "clamp",
            "transpose",
            "permute",
            "swapaxes",
            "scatter",
            "scatter_",
            "masked_scatter",
        ),
    }
)
HALF = ("bfloat16", "half", "float16", "float8")
CAST_METHODS = ("half", "bfloat16", "double")


def find(program: Program) -> Iterator[Finding]:
    """Arithmetic, writing and casts."""
    for event in program.events:
        if (
            (event.kind == "arithmetic" and any(map(_is_content, event.paths)))
            or (event.kind == "store" and any(_is_content(path) for path in event.paths))
            or (event.kind == "key" and _cuts(event))
        ):
            yield event.finding(CHANGED_EXAMPLE)
        elif event.kind == "call":
            yield from _of_call(event)


def _cuts(event: Event) -> bool:
    """Whether parts of examples are taken, not some of the examples: `batch["inputs"][:, 1:]`."""
    keys = event.node.slice if isinstance(event.node, ast.Subscript) else None
    if not isinstance(keys, ast.Tuple) or not any(map(_is_content, event.values[0])):
        return False
    cuts = [one for one in keys.elts[1:] if isinstance(one, ast.Slice)]
    return any(one.lower or one.upper or one.step for one in cuts)


def _is_content(path: str) -> bool:
    """Whether it is the inputs, targets or weights of a batch, as they came."""
    base = root(path)
    if base not in ("@batch", "@input_queue"):
        return False
    return any(path.endswith(part) or f"{part}[" in path for part in PARTS)


def _of_call(event: Event) -> Iterator[Finding]:
    name = event.attr or next(iter(sorted(event.paths)), "").rpartition(".")[2]
    given = {path for values in event.values for path in values}
    if name in CHANGES and (any(map(_is_content, given)) or any(map(_is_content_method, event.paths))):
        yield event.finding(CHANGED_EXAMPLE)
    if _casts(event, name):
        is_input = any(_is_content(path.rpartition(".")[0]) for path in event.paths)
        is_module = any(
            path in ("@model.half", "@model.bfloat16", "@model.double", "@model.to") for path in event.paths
        )
        if is_input or is_module:
            yield event.finding(CAST_MODEL)
    if event.starts("@workload.model_fn"):
        text = ast.unparse(event.node)
        if any(f".{half}" in text for half in HALF):
            yield event.finding(CAST_MODEL)


def _is_content_method(path: str) -> bool:
    return _is_content(path.rpartition(".")[0])


def _casts(event: Event, name: str) -> bool:
    if name in CAST_METHODS:
        return True
    if name not in ("to", "astype", "type"):
        return False
    assert isinstance(event.node, ast.Call)
    text = " ".join(ast.unparse(one) for one in (*event.node.args, *(k.value for k in event.node.keywords)))
    return any(half in text for half in HALF)
