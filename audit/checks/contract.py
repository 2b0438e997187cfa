"""Whether it is a submission at all: functions and signatures (R2.1, R2.2), search space (R5.4), what is published."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from algoperf import registry, submission, submission_info, tuning
from algoperf.spec import UsageError
from algoperf.submission_files import SEARCH_SPACES
from audit.findings import Check, Finding, Grade
from audit.program import Program, Scope

NOT_PYTHON = Check(
    "not-python",
    ("R2.1",),
    Grade.FORBIDDEN,
    "The file cannot be read as Python: {what}.",
    "Repair it, or leave it out.",
)
MISSING = Check(
    "missing-function",
    ("R2.1", "R2.2"),
    Grade.FORBIDDEN,
    "{what}() is not defined.",
    "submissions/template/ has all functions.",
)
SIGNATURE = Check(
    "signature",
    ("R2.2",),
    Grade.FORBIDDEN,
    "The harness cannot call {what}.",
    "submissions/README.md has the signatures.",
)
UNSEEN = Check(
    "unseen-function",
    ("R2.2",),
    Grade.NOTE,
    "What {what} is cannot be told from the source; its signature was not checked.",
)
SPACE = Check(
    "search-space", ("R5.4", "R2.2"), Grade.FORBIDDEN, "{what}.", "submissions/README.md has the form."
)
NO_SPACE = Check(
    "no-search-space",
    ("R5.1",),
    Grade.NOTE,
    "There is no {what}: it can run in the self-tuning ruleset alone.",
)
SPACES = Check(
    "several-search-spaces",
    ("R5.3",),
    Grade.NOTE,
    "{what} lies beside another search space.",
    "The search space is the same file for all workloads.",
)
SPACE_BY_NAME = Check(
    "search-space-by-workload",
    ("R5.3", "R3.2"),
    Grade.REVIEW,
    "{what} is called like a workload.",
    "The search space is the same file for all workloads.",
)
UNREAD = Check(
    "unread-hyperparameter",
    ("R12.6",),
    Grade.NOTE,
    "The hyperparameter {what} is never read by its name.",
    "Leave it out of the search space.",
)
NO_SELF = Check(
    "needs-hyperparameters",
    ("R5.2",),
    Grade.NOTE,
    "Nothing asks whether {what} is None: in the self-tuning ruleset it is.",
)
INFO = Check(
    "submission-info",
    ("R12.3",),
    Grade.NOTE,
    "{what}.",
    "Published submissions have it.",
)
INFO_FIELDS = (
    *("submission_name", "submission_folder", "authors", "affiliations", "version", "ruleset", "framework"),
    "description",
)


def find(program: Program) -> Iterator[Finding]:
    """Findings about the contract."""
    for broken in program.folder.broken:
        is_entry = broken.path in program.folder.entries
        why = broken.why.split(" (")[0]
        check = (
            NOT_PYTHON if is_entry else Check(NOT_PYTHON.id, NOT_PYTHON.rules, Grade.REVIEW, NOT_PYTHON.says)
        )
        yield Finding(broken.path, broken.line, why, check)
    for path in program.folder.entries:
        if path in program.modules:
            yield from _of_functions(program, program.modules[path])
    yield from _of_space(program)
    yield from _of_info(program)


def _of_functions(program: Program, module: Scope) -> Iterator[Finding]:
    for name, (positional, keywords) in {**submission.REQUIRED, **submission.OPTIONAL}.items():
        if name not in module.names:
            if name in submission.REQUIRED:
                yield Finding(module.file.path, 0, name, MISSING)
            continue
        found = [scope for path in module.names[name] if (scope := program.scope_of(path)) is not None]
        functions = [scope for scope in found if not scope.is_class and not scope.is_module]
        for scope in functions:
            arguments = scope.node.args  # type: ignore[attr-defined]  # Of a function or a lambda.
            asked = (*keywords, "train_state") if _has(arguments, "train_state") and keywords else keywords
            if not _accepts(arguments, positional, asked):
                line = getattr(scope.node, "lineno", 0)
                yield Finding(scope.file.path, line, f"{name}({ast.unparse(arguments)})", SIGNATURE)
        if not functions:
            yield Finding(module.file.path, 0, name, UNSEEN)


def _has(arguments: ast.arguments, name: str) -> bool:
    return any(one.arg == name for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs))


def _accepts(arguments: ast.arguments, positional: int, keywords: tuple[str, ...]) -> bool:
    """Whether a call as the harness makes it fits."""
    kinds = inspect.Parameter
    head = [*arguments.posonlyargs, *arguments.args]
    first_default = len(head) - len(arguments.defaults)
    parameters = [
        kinds(
            one.arg,
            kinds.POSITIONAL_ONLY if at < len(arguments.posonlyargs) else kinds.POSITIONAL_OR_KEYWORD,
            default=None if at >= first_default else kinds.empty,
        )
        for at, one in enumerate(head)
    ]
    if arguments.vararg is not None:
        parameters.append(kinds(arguments.vararg.arg, kinds.VAR_POSITIONAL))
    parameters += [
        kinds(one.arg, kinds.KEYWORD_ONLY, default=kinds.empty if default is None else None)
        for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    if arguments.kwarg is not None:
        parameters.append(kinds(arguments.kwarg.arg, kinds.VAR_KEYWORD))
    try:
        inspect.Signature(parameters).bind(*[None] * positional, **dict.fromkeys(keywords))
    except TypeError:
        return False
    return True


def _of_space(program: Program) -> Iterator[Finding]:
    root = program.folder.root
    spaces = sorted(path for path in root.glob(SEARCH_SPACES) if path.is_file())
    main = root / submission.SEARCH_SPACE
    if main not in spaces:
        yield Finding(main, 0, submission.SEARCH_SPACE, NO_SPACE)
    names: dict[str, Path] = {}
    for path in spaces:
        if path != main:
            is_named = any(name in path.stem for name in registry.names() if not name.endswith("_mini"))
            yield Finding(path, 0, path.name, SPACE_BY_NAME if is_named else SPACES)
        try:
            space = tuning.load_search_space(path)
        except UsageError as error:
            text = str(error).removeprefix(f"Search space {path}: ").rstrip(".")
            yield Finding(path, 0, text[:1].upper() + text[1:], SPACE)
            continue
        points = space if isinstance(space, list) else [space]
        names.update({name: path for point in points for name in point})
    read = _names_read(program)
    for name, path in names.items():
        # A point with one_minus_beta2 also gives beta2, and so for every name.
        if name not in read and name.removeprefix("one_minus_") not in read:
            yield Finding(path, 0, name, UNREAD)
    if not names and not _asks_for_none(program):
        return
    if names and not _asks_for_none(program):
        yield Finding(program.folder.entries[0], 0, "hyperparameters", NO_SELF)


def _names_read(program: Program) -> set[str]:
    found: set[str] = set()
    for source in program.folder.sources.values():
        for node in source.nodes:
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)  # Fields that are filled by their names.
    return found


def _asks_for_none(program: Program) -> bool:
    pattern = re.compile(
        r"hyperparameters( is (not )?None| or |\s*==\s*None)|not hyperparameters|if hyperparameters"
    )
    for source in program.folder.sources.values():
        for node in source.nodes:
            if isinstance(node, (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.IfExp, ast.If, ast.Delete)):
                head = node.test if isinstance(node, (ast.If, ast.IfExp)) else node
                text = (
                    f"if {ast.unparse(head)}" if isinstance(node, (ast.If, ast.IfExp)) else ast.unparse(head)
                )
                if pattern.search(text) or re.match(r"del .*\bhyperparameters\b", text):
                    return True
    return not any("@hyperparameters" in path for event in program.of_kind("read") for path in event.paths)


def _of_info(program: Program) -> Iterator[Finding]:
    path = program.folder.root / submission_info.FILE
    info, note = submission_info.read(program.folder.root)
    if info is None:
        text = note.rstrip(".") if note else f"There is no {submission_info.FILE}"
        yield Finding(path, 0, text, INFO)
        return
    text = path.read_text(encoding="utf-8-sig")
    missing = [name for name in INFO_FIELDS if not re.search(rf"^{name}\s*:", text, re.MULTILINE)]
    if missing:
        yield Finding(path, 0, f"{submission_info.FILE} has no {', '.join(missing)}", INFO)
