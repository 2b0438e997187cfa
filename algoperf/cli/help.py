"""The text of --help: what a command does, then its own flags, in groups, with types and defaults."""

import textwrap
from collections.abc import Collection, Mapping

from absl import flags

WIDTH = 100
INDENT = 26
REST = "More"
"""Heading of the flags that no group names."""
PLACEHOLDERS = {"string": "TEXT", "int": "N", "float": "X", "comma separated list of strings": "A,B,…"}


def text(
    description: str,
    called: str,
    own: Mapping[str, flags.Flag],
    groups: Mapping[str, Collection[str]],
) -> str:
    """What --help prints.

    Args:
      description: of the command; `{command}` in it stands for `called`.
      called: how the command was called.
      own: name -> flag, aliases among them.
      groups: heading -> names of flags; those of no group come last.
    """
    named = {name for names in groups.values() for name in names}
    aliases: dict[str, list[str]] = {}
    for name, flag in own.items():
        if flag.name != name or _is_alias(flag):
            aliases.setdefault(_original(flag), []).append(name)
    plain = {name: flag for name, flag in own.items() if flag.name == name and not _is_alias(flag)}
    rest = [name for name in plain if name not in named]
    headed = {**groups, (REST if groups else "Flags"): rest}
    parts = [description.replace("{command}", called).strip()]
    for heading, names in headed.items():
        lines = [_line(plain[name], aliases.get(name, [])) for name in names if name in plain]
        if lines:
            parts.append("\n".join([f"{heading}:", *lines]))
    return "\n\n".join(parts)


def _is_alias(flag: flags.Flag) -> bool:
    return type(flag).__name__ == "_FlagAlias"


def _original(flag: flags.Flag) -> str:
    return (flag.help or "").removeprefix("Alias for --").rstrip(".")


def _line(flag: flags.Flag, aliases: Collection[str]) -> str:
    is_bool = flag.flag_type() == "bool"
    shown = (
        f"--[no]{flag.name}" if is_bool else f"--{flag.name}={PLACEHOLDERS.get(flag.flag_type(), 'VALUE')}"
    )
    words = " ".join((flag.help or "").split())
    also = f" Also --{', --'.join(aliases)}." if aliases else ""
    body = f"{words}{also}{_default(flag, is_bool)}"
    pad = " " * INDENT
    lines = textwrap.wrap(
        body, WIDTH, initial_indent=pad, subsequent_indent=pad, break_on_hyphens=False, break_long_words=False
    ) or [pad]
    head = f"  {shown}"
    if len(head) + 2 > INDENT:
        return "\n".join([head, *lines])
    return "\n".join([head.ljust(INDENT) + lines[0].lstrip(), *lines[1:]])


def _default(flag: flags.Flag, is_bool: bool) -> str:
    """Words about the default; none where there is none, or it says nothing."""
    value = flag.default
    if value is None or value == []:
        return ""
    if is_bool:
        return " [on]" if value else ""
    return f" [{','.join(value) if isinstance(value, list) else value}]"
