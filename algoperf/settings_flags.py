"""The flags of a run's settings: made from `algoperf.settings.RunSettings`, and read back into it."""

import dataclasses
import types
import typing
from collections.abc import Callable, Collection
from typing import Any

from absl import flags

from algoperf.settings import Mark, RunSettings, marks

# Makes --help list flags under the script that calls `define`, not under this module.
flags.disclaim_key_flags()


def define(
    names: Collection[str] | None = None, into: flags.FlagValues = flags.FLAGS, **defaults: Any
) -> None:
    """Defines the flags of settings, with their types, help texts and aliases.

    Args:
      names: the settings; all by default.
      into: what gets the flags; those of this process by default.
      defaults: name -> default, in place of the field's own.
    """
    hints = typing.get_type_hints(RunSettings)
    for field in dataclasses.fields(RunSettings):
        if names is None or field.name in names:
            mark: Mark = field.metadata["mark"]
            default = defaults.get(field.name, field.default)
            _DEFINE[_plain_type(hints[field.name])](field.name, default, mark.help, flag_values=into)
            for alias in mark.aliases:
                flags.DEFINE_alias(alias, field.name, flag_values=into)


# Fields have one of these types only, or one of them and None.
_DEFINE: dict[type, Callable[..., object]] = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    bool: flags.DEFINE_bool,
}


def _plain_type(hint: type | types.UnionType) -> type:
    """The type of a hint without None.

    >>> _plain_type(int | None)
    <class 'int'>
    """
    if isinstance(hint, types.UnionType):
        (hint,) = set(typing.get_args(hint)) - {types.NoneType}
    assert isinstance(hint, type)
    return hint


def read(names: Collection[str] | None = None, values: flags.FlagValues = flags.FLAGS) -> RunSettings:
    """The settings from flags, after `define` with the same names."""
    wanted = [name for name in marks() if names is None or name in names]
    given: dict[str, Any] = {name: values[name].value for name in wanted}
    return RunSettings(**given)
