"""Assignments into what is not the submission's: modules of others, the workload, the model."""

from collections.abc import Iterator

from audit.findings import Check, Finding, Grade
from audit.paths import is_own, root, starts
from audit.program import Event, Program

PATCHES_HARNESS = Check(
    "patches-harness",
    ("R3.20", "R3.17"),
    Grade.FORBIDDEN,
    "{what} changes the harness or the workload.",
    "Read what submissions/README.md lists, and write nothing.",
)
PATCHES_OTHERS = Check(
    "patches-others",
    ("R3.20", "R3.17"),
    Grade.FORBIDDEN,
    "{what} changes code that is not the submission's.",
    "Write functions and subclasses of your own.",
)
SETS_PRECISION = Check(
    "sets-precision",
    ("R11.4",),
    Grade.FORBIDDEN,
    "{what} changes the numbers that the whole process computes with.",
    "Leave process-wide settings as the harness has them.",
)
SETS_OPTION = Check(
    "sets-option",
    ("R11.4",),
    Grade.REVIEW,
    "{what} changes a setting of the whole process.",
    "Leave process-wide settings as the harness has them.",
)
SETS_ENVIRONMENT = Check(
    "sets-environment",
    ("R11.4", "R3.8"),
    Grade.FORBIDDEN,
    "{what} changes the environment.",
    "Leave it as the harness has it.",
)
CACHE = Check(
    "compilation-cache",
    ("R3.8",),
    Grade.FORBIDDEN,
    "{what} keeps compiled programs between trials.",
    "Leave caches as the harness has them.",
)
CACHE_WORDS = ("compilation_cache", "cache_dir", "persistent_cache", "caches_dir")
PRECISION_WORDS = (
    *(
        "tf32",
        "precision",
        "x64",
        "reduced",
        "flush",
        "fastmath",
        "bf16",
        "default_dtype",
        "matmul",
        "enable_x64",
    ),
)
OPTIONS = (
    "torch.backends",
    "torch._dynamo.config",
    "torch._inductor.config",
    "jax.config",
    "torch._functorch.config",
)
ENVIRON = ("os.environ", "os.putenv", "os.unsetenv", "os.environb")
CONFIG_CALLS = (
    "jax.config.update",
    "jax.config.parse_flags_with_absl",
    "jax.config.config_with_absl",
    "jax.config.set",
)


def find(program: Program) -> Iterator[Finding]:
    """Stores, and calls that store."""
    for event in program.of_kind("store"):
        check = next((found for path in sorted(event.paths) if (found := _of_store(path))), None)
        if check is not None:
            yield event.finding(check)
    for event in program.of_kind("call"):
        yield from _of_call(event)


def _of_store(path: str) -> Check | None:
    base = root(path)
    if is_own(path) or base[:1] in ("'", "#"):
        return None
    if base == "@workload" or starts(path, "algoperf") or base in ("workloads", "submission_runner"):
        return PATCHES_HARNESS
    if base[:1] == "@":
        return None  # Has checks of its own.
    if any(starts(path, one) for one in ENVIRON):
        return SETS_ENVIRONMENT
    if any(starts(path, one) for one in OPTIONS):
        return SETS_PRECISION if any(word in path.lower() for word in PRECISION_WORDS) else SETS_OPTION
    if "(" in path or "[" in path.removeprefix("sys.modules"):
        return (
            PATCHES_OTHERS if path.startswith("sys.modules[") else None
        )  # An object that the submission made.
    return PATCHES_OTHERS if ("." in path and base != "builtins") or path.startswith("builtins.") else None


def _of_call(event: Event) -> Iterator[Finding]:
    if event.starts(*CONFIG_CALLS):
        texts = "".join(path.lower() for values in event.values for path in values)
        if any(word in texts for word in CACHE_WORDS):
            yield event.finding(CACHE)
        else:
            yield event.finding(
                SETS_PRECISION if any(word in texts for word in PRECISION_WORDS) else SETS_OPTION
            )
    elif event.starts("os.putenv", "os.unsetenv") or (
        event.starts(*ENVIRON) and event.attr in ("update", "setdefault", "pop", "clear")
    ):
        yield event.finding(SETS_ENVIRONMENT)
