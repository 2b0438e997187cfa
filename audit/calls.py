"""What calls may give, and which functions of the submission they run."""

import ast
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from audit import folding
from audit.expressions import (
    CALL_AT_ONCE,
    CONTAINERS,
    ENTRIES,
    NUMBERS,
    PASSED_ON,
    Expressions,
    own_functions,
)
from audit.paths import ARGUMENTS, POSITIONALS, is_fact, is_known, is_text, longer
from audit.program import Paths, Scope

SETTERS = ("builtins.setattr", "builtins.object.__setattr__", "builtins.type.__setattr__", "builtins.delattr")
IMPORTERS = ("builtins.__import__", "importlib.import_module", "importlib.__import__")
GETS = ("get", "pop", "setdefault", "__getitem__")
PUTS = ("append", "add", "appendleft", "extend", "insert", "setdefault", "update", "__setitem__")


class Argument(NamedTuple):
    """A positional argument of a call."""

    values: Paths
    is_starred: bool


class Call(NamedTuple):
    """A call with its arguments evaluated."""

    node: ast.Call
    scope: Scope
    arguments: list[Argument]
    keywords: list[tuple[str | None, Paths]]

    def argument(self, number: int) -> Paths:
        """What a positional argument may be; nothing where there is none."""
        return self.arguments[number].values if number < len(self.arguments) else set()


class Calls(Expressions):
    """Evaluates calls."""

    def _Call(self, scope: Scope, node: ast.Call) -> Paths:
        functions = self.value(scope, node.func)
        arguments = []
        for one in node.args:
            inner = one.value if isinstance(one, ast.Starred) else one
            arguments.append(Argument(self.value(scope, inner), inner is not one))
        keywords = [(one.arg, self.value(scope, one.value)) for one in node.keywords]
        call = Call(node, scope, arguments, keywords)
        named = [(name or "**", values) for name, values in keywords]
        self.record("call", node, scope, functions, [one.values for one in arguments], named)
        found: Paths = set()
        for path in functions:
            found |= self.result(path, call)
        if isinstance(node.func, ast.Attribute):
            for base in self.bases.get(node.func, ()):
                found |= self._of_method(base, node.func.attr, call)
        return found

    def result(self, path: str, call: Call) -> Paths:
        """What a call of something gives."""
        own = self.program.scope_of(path)
        if own is not None and not own.is_module:
            return self.call_own(own, call)
        if path.endswith("()") and path[:1] == ":" and (method := self._own_attribute(path, "__call__")):
            return set().union(*(self.call_own(one, call) for one in own_functions(self.program, method)))
        if path[:1] in ("'", "#", "{"):
            return set()
        special = self._special(path, call)
        return {longer(path, "()")} if special is None else special

    # ---- functions of the submission -------------------------------------------------------------------------------

    def call_own(self, function: Scope, call: Call) -> Paths:
        """What a function or class of the submission gives; it gets the arguments."""
        self._runs(call.scope, function)
        if not function.is_class:
            self.bind_arguments(function, call)
            return set(function.returns)
        init = function.names.get("__init__") or set()
        for method in own_functions(self.program, init):
            self._runs(call.scope, method)
            self.bind_arguments(method, call)
        if not init:  # A dataclass or a named tuple.
            fields = [
                one.target.id
                for one in getattr(function.node, "body", ())
                if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
            ]
            for name, argument in zip(fields, call.arguments, strict=False):
                self.program.add(function.fields.setdefault(name, set()), argument.values)
            for key, values in call.keywords:
                if key in fields:
                    self.program.add(function.fields.setdefault(key, set()), values)
        return {f"{function.path}()"}

    def _runs(self, scope: Scope, function: Scope) -> None:
        while scope.is_class and scope.parent is not None:
            scope = scope.parent
        self.program.calls.setdefault(scope.number, set()).add(function.number)

    def bind_arguments(self, function: Scope, call: Call) -> None:
        """Gives a function its arguments."""
        names = function.parameters
        at = 0
        for values, is_starred in call.arguments:
            if not is_starred:
                self._give(function, names, at, values)
                at += 1
                continue
            for path in values:
                if path[:2] == "@*":
                    api, _, offset = path[2:].partition(":")
                    for step, name in enumerate(POSITIONALS[api][int(offset) :]):
                        self._give(
                            function,
                            names,
                            at + step,
                            {ARGUMENTS[name]} & set(ARGUMENTS.values()) if name in ARGUMENTS else set(),
                        )
                else:
                    for step in range(at, len(names)):
                        self._give(function, names, step, self.entries([path]))
        for key, values in call.keywords:
            if key is None:
                for path in values:
                    for inner, found in list(self.program.contents.get(path, {}).items()):
                        if inner in function.names:
                            self.program.add(function.names[inner], found)
            elif key in function.names:
                self.program.add(function.names[key], values)

    def _give(self, function: Scope, names: Sequence[str], at: int, values: Iterable[str]) -> None:
        if at < len(names):
            self.program.add(function.names.setdefault(names[at], set()), values)
            return
        arguments = getattr(function.node, "args", None)
        if isinstance(arguments, ast.arguments) and arguments.vararg is not None:
            for path in function.names.get(arguments.vararg.arg, ()):
                if path[:1] == "{":
                    self.put(path, str(at - len(names)), values)

    # ---- functions of others ---------------------------------------------------------------------------------------

    def _special(self, path: str, call: Call) -> Paths | None:
        """What a known function of Python or of a framework gives; None for all others."""
        first = call.argument(0)
        if path == "builtins.getattr":
            return self._getattr(call)
        if path in SETTERS:
            self._setattr(call, first, call.argument(1), call.argument(2))
            return set()
        if path in IMPORTERS:
            names = [one[1:] for one in first if is_known(one)]
            found = {self.imported(call.scope, name.lstrip(".")) for name in names}
            self.record("import", call.node, call.scope, found)
            if path != "importlib.import_module":  # `__import__("a.b")` gives a.
                found |= {one.split(".")[0] for one in found if one[:1] not in ":."}
            return found or {"importlib.import_module()"}
        if path == "builtins.vars" and first:
            return {f"{one}.__dict__" for one in first}
        if path in ("builtins.globals", "builtins.locals"):
            return {f"{self.program.modules[call.scope.file.path].path}.__dict__"}
        if path == "builtins.type" and len(call.arguments) == 1:
            return {
                one[:-2] if one[:1] == ":" and one.endswith("()") else longer(one, ".__class__")
                for one in first
            }
        if path == "builtins.next":
            return self.entries(first) | call.argument(1)
        if path in ("builtins.zip", "builtins.enumerate"):
            return self._zipped(path, call)
        if path in ENTRIES or path in ("copy.copy", "builtins.vars"):
            return set(first)
        if path in CONTAINERS:
            return self._made(call)
        if path in NUMBERS:
            if any(map(is_fact, first)):
                return {"@fact"}
            return {one for one in first if one[:1] in ("'", "#", "@")}
        if path in folding.DECODERS or path == "codecs.decode":
            return folding.decoded(path, first, call.argument(1)) | {longer(path, "()")}
        if path in CALL_AT_ONCE:
            return self._called_at_once(path, call)
        if path in PASSED_ON:
            kept = {one for one in first if one[:1] not in ("'", "#")}
            return kept | {longer(path, "()")}
        if path == "operator.attrgetter":
            return {f"operator.attrgetter()[{one[1:]}]" for one in first if is_known(one)} or {f"{path}()"}
        if path.startswith("operator.attrgetter()["):
            found = set(first)
            for name in path[len("operator.attrgetter()[") : -1].split("."):
                found = set().union(*(self.attribute(one, name) for one in found)) if found else set()
            self.record("read", call.node, call.scope, found)
            return found
        if path == "operator.setitem":
            self._store(call, {f"{one}[]" for one in first}, call.argument(2))
            return set()
        return None

    def _getattr(self, call: Call) -> Paths:
        names = [one[1:] for one in call.argument(1) if is_known(one)]
        found: Paths = set()
        for base in call.argument(0):
            for name in names:
                found |= self.attribute(base, name)
            if not names:
                found.add(longer(base, ".*"))
        self._mention(call.scope, found)
        self.record("read", call.node, call.scope, found)
        return found | call.argument(2)

    def _setattr(self, call: Call, bases: Paths, names: Paths, values: Paths) -> None:
        known = [one[1:] for one in names if is_known(one)] or ["*"]
        for base in bases:
            for name in known:
                self.set_attribute(base, name, values)
        self._store(call, {longer(base, f".{name}") for base in bases for name in known}, values)

    def set_attribute(self, base: str, name: str, values: Paths) -> None:
        """Notes what an attribute of something of the submission may be from now on."""
        if base[:1] == "{":
            self.put(base, name, values)
        scope = self.program.scope_of(base.removesuffix("()"))
        if scope is not None:
            slots = scope.fields if base.endswith("()") else scope.names
            self.program.add(slots.setdefault(name, set()), values)

    def _store(self, call: Call, paths: Iterable[str], values: Paths) -> None:
        self.record("store", call.node, call.scope, paths, [values])

    def _zipped(self, path: str, call: Call) -> Paths:
        inner, outer = (f"{self._container(call.scope, call.node)[:-1]}:{kind}}}" for kind in "io")
        shift = 1 if path.endswith("enumerate") else 0
        for number, argument in enumerate(call.arguments):
            self.put(inner, str(number + shift), self.entries(argument.values))
        self.put(outer, "[]", {inner})
        return {outer}

    def _made(self, call: Call) -> Paths:
        holder = self._container(call.scope, call.node)
        for argument in call.arguments:
            self._spread(holder, argument.values)
        for name, values in call.keywords:
            if name is None:
                self._spread(holder, values)
            else:
                self.put(holder, name, values)
        self.program.contents.setdefault(holder, {})
        copied = {one for argument in call.arguments for one in argument.values if one[:1] == "@"}
        return {holder} | copied

    def _called_at_once(self, path: str, call: Call) -> Paths:
        found: Paths = set()
        functions = {one for argument in call.arguments for one in argument.values}
        functions |= {one for name, values in call.keywords if name == "key" for one in values}
        for function in own_functions(self.program, functions):
            self._runs(call.scope, function)
            for number, argument in enumerate(call.arguments[1:]):
                given = argument.values if path.startswith("jax.lax.") else self.entries(argument.values)
                self._give(function, function.parameters, number, given)
            found |= function.returns
        return found | {longer(path, "()")}

    # ---- methods ---------------------------------------------------------------------------------------------------

    def _of_method(self, base: str, name: str, call: Call) -> Paths:
        """What a method of a container, of a text or of a module gives."""
        if is_text(base):
            joined = self._in_order(call.argument(0)) if name == "join" else []
            return folding.of_method(base, name, [one.values for one in call.arguments], joined)
        if name == "__setattr__":
            self._setattr(call, {base}, call.argument(0), call.argument(1))
        if name in PUTS:
            self._put_by_method(base, name, call)
        if name in GETS:
            self.record("key", call.node, call.scope, call.argument(0), [{base}])
            found = self.entry(base, call.argument(0))
            return found | call.argument(1)
        if base[:1] != "{":
            return set()
        if name == "values":
            return {base}
        if name == "items":
            inner, outer = (f"{self._container(call.scope, call.node)[:-1]}:{kind}}}" for kind in "io")
            keys = {f"'{key}" for key in self.program.contents.get(base, {}) if key != "[]"}
            self.put(inner, "0", keys)
            self.put(inner, "1", self.entries([base]))
            self.put(outer, "[]", {inner})
            return {outer}
        return self.entries([base]) if name in ("popleft", "popitem") else set()

    def _put_by_method(self, base: str, name: str, call: Call) -> None:
        if base[:1] == "{":
            if name == "update":
                for argument in call.arguments:
                    self._spread(base, argument.values)
                for key, values in call.keywords:
                    self.put(base, key or "[]", values)
            elif name in ("setdefault", "__setitem__"):
                keys = [one[1:] for one in call.argument(0) if one[:1] in "'#"] or ["[]"]
                for key in keys:
                    self.put(base, key, call.argument(1))
            else:
                values = call.argument(1 if name == "insert" else 0)
                self.put(base, "[]", self.entries(values) if name == "extend" else values)
        if name in ("update", "__setitem__", "setdefault") and base.endswith(".__dict__"):
            owner = base.removesuffix(".__dict__")
            names = [key or "*" for key, _ in call.keywords] or ["*"]
            self._store(call, {longer(owner, f".{key}") for key in names}, set())
        elif not base.endswith("()"):
            self._store(call, {longer(base, "[]")}, call.argument(0))

    def _in_order(self, paths: Iterable[str]) -> list[str]:
        """The entries of a container that the source spells out, in order."""
        for path in paths:
            slots = self.program.contents.get(path, {})
            if slots and "[]" not in slots and all(key.isdigit() for key in slots):
                ordered = sorted(slots, key=int)
                return [next(iter(slots[key]), "") for key in ordered]
        return [""]
