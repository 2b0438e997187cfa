"""What expressions may stand for."""

import ast
import builtins
from collections.abc import Iterable, Sequence

from audit import folding
from audit.paths import ARGUMENTS, POSITIONALS, UNKNOWN, is_fact, is_known, is_own, longer
from audit.program import Event, Paths, Program, Scope

BUILTINS = frozenset(dir(builtins))
PASSED_ON = frozenset(
    {
        *("jax.jit", "jax.pmap", "jax.vmap", "jax.grad", "jax.value_and_grad", "jax.checkpoint", "jax.remat"),
        *("jax.custom_vjp", "jax.custom_jvp", "torch.compile", "torch.jit.script", "torch.func.grad"),
        *("torch.no_grad()", "torch.enable_grad()", "torch.inference_mode()", "torch.no_grad"),
        *("functools.partial", "functools.cache", "functools.lru_cache", "functools.lru_cache()"),
        *("functools.wraps()", "functools.partialmethod", "contextlib.contextmanager"),
        *("builtins.staticmethod", "builtins.classmethod", "builtins.property"),
    }
)
"""Give back the function that they get, with something around it."""
CALL_AT_ONCE = frozenset(
    {
        *("builtins.map", "builtins.filter", "builtins.sorted", "builtins.min", "builtins.max"),
        *("functools.reduce", "itertools.starmap", "jax.tree.map", "jax.tree_map", "jax.tree_util.tree_map"),
        *("jax.lax.map", "jax.lax.scan", "jax.lax.cond", "jax.lax.switch", "jax.lax.while_loop"),
        *("jax.lax.fori_loop", "jax.tree_util.tree_map_with_path", "jax.tree.map_with_path"),
        *("torch.utils._pytree.tree_map",),
    }
)
"""Call the function that they get, with entries of their other arguments."""
ENTRIES = frozenset(
    f"builtins.{name}"
    for name in ("iter", "list", "tuple", "sorted", "reversed", "set", "frozenset", "enumerate", "zip")
)
NUMBERS = frozenset(
    f"builtins.{name}" for name in ("int", "float", "round", "str", "abs", "hash", "repr")
) | {
    *("math.floor", "math.ceil", "math.log", "math.sqrt", "math.log10", "math.log2"),
}
CONTAINERS = ("builtins.dict", "types.SimpleNamespace", "collections.OrderedDict", "builtins.object")


class Expressions:
    """Evaluates expressions, and writes down what they do once `is_recording`."""

    def __init__(self, program: Program):
        self.program = program
        self.is_recording = False
        self.bases: dict[ast.Attribute, Paths] = {}
        """Attribute -> what it is an attribute of, as evaluated last."""

    def record(
        self,
        kind: str,
        node: ast.AST,
        scope: Scope,
        paths: Iterable[str],
        values: Sequence[Iterable[str]] = (),
        keywords: Iterable[tuple[str, Iterable[str]]] = (),
    ) -> None:
        if self.is_recording:
            pairs = tuple((name, frozenset(value)) for name, value in keywords)
            event = Event(kind, node, scope, frozenset(paths), tuple(frozenset(v) for v in values), pairs)
            self.program.events.append(event)

    # ---- the parts of a value --------------------------------------------------------------------------------------

    def attribute(self, base: str, name: str) -> Paths:
        """What an attribute of something may be."""
        found = self._own_attribute(base, name)
        if name in ARGUMENTS and (base[:1] in ":{@"):
            found = found | {ARGUMENTS[name]}
        if base[:1] in ("'", "#"):
            return set()
        if found or base[:1] == "{":
            return found
        if name == "__globals__" and (scope := self.program.scope_of(base)):
            return {scope.path + ".__dict__"}
        return {longer(base, f".{name}")}

    def _own_attribute(self, base: str, name: str) -> Paths:
        if base[:1] == "{":
            return set(self.program.contents.get(base, {}).get(name, ()))
        scope = self.program.scope_of(base.removesuffix("()"))
        if scope is None:
            return set()
        if scope.is_module:
            return set(scope.names.get(name, ()))
        if not scope.is_class:
            return set()
        found = set(scope.fields.get(name, ())) | scope.names.get(name, set())
        if not found:
            for parent in scope.bases:
                found |= self._own_attribute(parent, name)
        return found

    def entry(self, base: str, keys: Iterable[str]) -> Paths:
        """What an entry of something may be."""
        found: Paths = set()
        known = [key[1:] for key in keys if is_known(key) or key[:1] == "#"]
        for key in known or [""]:
            if base.endswith(".__dict__") and key:
                found |= self.attribute(base.removesuffix(".__dict__"), key)
            elif base == "sys.modules":
                found |= {self.module(key) if key else "sys.modules[]"}
            elif base[:1] == "{":
                slots = self.program.contents.get(base, {})
                parts = (slots.get(key, ()), slots.get("[]", ())) if key else slots.values()
                for part in parts:
                    found |= set(part)
            elif base[:2] == "@*":
                function, _, offset = base[2:].partition(":")
                names = POSITIONALS[function][int(offset) :]
                is_position = key.isdigit() and int(key) < len(names)
                chosen = [names[int(key)]] if is_position else names
                found |= {ARGUMENTS[name] for name in chosen if name in ARGUMENTS}
            elif base[:1] not in ("'", "#") and base != "@kwargs":
                found |= {longer(base, f"[{key}]")}
            if key in ARGUMENTS and base[:1] in ":{@":
                found |= {ARGUMENTS[key]}
        return found

    def module(self, dotted: str) -> str:
        """The path of a module by its name in this process."""
        parts = dotted.split(".")
        if parts[0] == "algorithmic_efficiency":
            parts[0] = "algoperf"
        return ".".join(parts)

    def imported(self, scope: Scope, dotted: str, level: int = 0) -> str:
        """The path of a module that an import names."""
        file = self.program.folder.file_of(scope.file.path, dotted, level)
        if file is not None and file in self.program.modules:
            return self.program.modules[file].path
        return "." * level + self.module(dotted)

    # ---- expressions -----------------------------------------------------------------------------------------------

    def value(self, scope: Scope, node: ast.AST | None) -> Paths:
        """What an expression may stand for."""
        if node is None:
            return set()
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is not None:
            return method(scope, node)
        found: Paths = set()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                found |= self.value(scope, child)
        return found

    def _Constant(self, scope: Scope, node: ast.Constant) -> Paths:
        value = node.value
        if isinstance(value, str):
            self.record("text", node, scope, [f"'{value}"])
            return {f"'{value}"} if len(value) < 500 else {f"'{UNKNOWN}"}
        if isinstance(value, bytes):
            return {f"'{value[:500].decode('latin-1')}"}
        return {f"#{value}"} if isinstance(value, (int, float)) and abs(value) < 1e300 else set()

    def _JoinedStr(self, scope: Scope, node: ast.JoinedStr) -> Paths:
        texts, facts = [""], set()
        for part in node.values:
            options = self.value(scope, part.value if isinstance(part, ast.FormattedValue) else part)
            facts |= {"@fact" for path in options if is_fact(path)}
            known = [path[1:] for path in options if is_known(path) or path[:1] == "#"][:4] or [UNKNOWN]
            texts = [before + after for before in texts for after in known][:8]
        for text in texts if len(node.values) > 1 else ():
            self.record("text", node, scope, [f"'{text}"])
        return {f"'{text}" for text in texts} | facts

    def _Name(self, scope: Scope, node: ast.Name) -> Paths:
        found = self.lookup(scope, node.id)
        self._mention(scope, found)
        self.record("read", node, scope, found)
        return found

    def lookup(self, scope: Scope, name: str) -> Paths:
        """What a name may stand for in a scope."""
        at: Scope | None = scope
        while at is not None:
            # Names of a class are not seen by its methods.
            if name in at.names and name not in at.outer and (at is scope or not at.is_class):
                return set(at.names[name])
            at = at.parent
        return {f"builtins.{name}"} if name in BUILTINS else set()

    def _mention(self, scope: Scope, found: Iterable[str]) -> None:
        if self.is_recording:
            for path in found:
                other = self.program.scope_of(path)
                if other is not None and not other.is_module:
                    self.program.mentions.setdefault(scope.number, set()).add(other.number)

    def _Attribute(self, scope: Scope, node: ast.Attribute) -> Paths:
        found: Paths = set()
        self.bases[node] = self.value(scope, node.value)
        for base in self.bases[node]:
            found |= self.attribute(base, node.attr)
        self._mention(scope, found)
        self.record("read", node, scope, found)
        return found

    def _Subscript(self, scope: Scope, node: ast.Subscript) -> Paths:
        bases, keys = self.value(scope, node.value), self.value(scope, node.slice)
        self.record("key", node, scope, keys, [bases])
        found: Paths = set()
        for base in bases:
            found |= folding.sliced(base, node.slice) or self.entry(base, keys)
        self.record("read", node, scope, found)
        return found

    def _Slice(self, scope: Scope, node: ast.Slice) -> Paths:
        for part in (node.lower, node.upper, node.step):
            self.value(scope, part)
        return set()

    def _BinOp(self, scope: Scope, node: ast.BinOp) -> Paths:
        left, right = self.value(scope, node.left), self.value(scope, node.right)
        self.record("arithmetic", node, scope, left | right)
        both = left | right
        if any(map(is_fact, both)):
            is_fixed = all(is_fact(path) or path[:1] in "'#" for path in both)
            return {"@fact"} if is_fixed and left and right else set()
        texts = folding.combined(node.op, left, right)
        kept = {path for path in both if path[:1] not in ("'", "#") and not path.startswith("@global_step")}
        return texts | kept

    def _UnaryOp(self, scope: Scope, node: ast.UnaryOp) -> Paths:
        return self.value(scope, node.operand)

    def _Compare(self, scope: Scope, node: ast.Compare) -> Paths:
        sides = [self.value(scope, side) for side in (node.left, *node.comparators)]
        self.record("compare", node, scope, set().union(*sides), sides)
        return set()

    def _Lambda(self, scope: Scope, node: ast.Lambda) -> Paths:
        inner = self.program.add_scope(scope.file, node, scope, "<lambda>")
        self.define_arguments(scope, inner, node.args)
        self.program.add(inner.returns, self.value(inner, node.body))
        return {inner.path}

    def _NamedExpr(self, scope: Scope, node: ast.NamedExpr) -> Paths:
        found = self.value(scope, node.value)
        self.bind(scope, node.target, found)
        return found

    def _IfExp(self, scope: Scope, node: ast.IfExp) -> Paths:
        self.value(scope, node.test)
        return self.value(scope, node.body) | self.value(scope, node.orelse)

    def _Yield(self, scope: Scope, node: ast.Yield) -> Paths:
        holder = self._container(scope, node)
        self.put(holder, "[]", self.value(scope, node.value))
        self.program.add(scope.returns, {holder})
        return set()

    def _YieldFrom(self, scope: Scope, node: ast.YieldFrom) -> Paths:
        self.program.add(scope.returns, self.value(scope, node.value))
        return set()

    # ---- containers ------------------------------------------------------------------------------------------------

    def _container(self, scope: Scope, node: ast.AST) -> str:
        module = self.program.modules[scope.file.path]
        return f"{{{module.number}:{getattr(node, 'lineno', 0)}:{getattr(node, 'col_offset', 0)}}}"

    def put(self, container: str, key: str, values: Iterable[str]) -> None:
        """Notes what may be in a container of the submission."""
        slots = self.program.contents.setdefault(container, {})
        if key not in slots and len(slots) > 200:
            key = "[]"
        self.program.add(slots.setdefault(key, set()), values)

    def _Dict(self, scope: Scope, node: ast.Dict) -> Paths:
        holder, copied = self._container(scope, node), set[str]()
        for key, item in zip(node.keys, node.values, strict=True):
            values = self.value(scope, item)
            if key is None:
                self._spread(holder, values)
                copied |= {path for path in values if path[:1] == "@" and path != "@kwargs"}
                continue
            names = [path[1:] for path in self.value(scope, key) if path[:1] in "'#"]
            for name in names or ["[]"]:
                self.put(holder, name, values)
        return {holder} | copied

    def _spread(self, holder: str, values: Iterable[str]) -> None:
        """Notes that a container holds what others hold."""
        for path in values:
            for name, inner in list(self.program.contents.get(path, {}).items()):
                self.put(holder, name, inner)

    def _Tuple(self, scope: Scope, node: ast.Tuple | ast.List | ast.Set) -> Paths:
        holder = self._container(scope, node)
        for number, item in enumerate(node.elts):
            if isinstance(item, ast.Starred):
                self.put(holder, "[]", self.entries(self.value(scope, item.value)))
            else:
                self.put(holder, str(number), self.value(scope, item))
        return {holder}

    _List = _Set = _Tuple

    def _ListComp(
        self, scope: Scope, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> Paths:
        for one in node.generators:
            over = self.value(scope, one.iter)
            self.record("iterate", one.iter, scope, over)
            self.bind(scope, one.target, self.entries(over))
            for condition in one.ifs:
                self.value(scope, condition)
        holder = self._container(scope, node)
        if isinstance(node, ast.DictComp):
            self.value(scope, node.key)
            self.put(holder, "[]", self.value(scope, node.value))
        else:
            self.put(holder, "[]", self.value(scope, node.elt))
        return {holder}

    _SetComp = _GeneratorExp = _DictComp = _ListComp

    def entries(self, paths: Iterable[str]) -> Paths:
        """What iterating may give."""
        found: Paths = set()
        for path in paths:
            if path[:1] in ("'", "#"):
                continue
            found |= self.entry(path, ())
        return found

    # ---- what subclasses do ----------------------------------------------------------------------------------------

    def bind(self, scope: Scope, target: ast.AST, values: Paths) -> None:
        raise NotImplementedError

    def define_arguments(self, scope: Scope, inner: Scope, arguments: ast.arguments) -> None:
        raise NotImplementedError


def own_functions(program: Program, paths: Iterable[str]) -> list[Scope]:
    """Functions and classes of the submission among what something may stand for."""
    found = [program.scope_of(path) for path in paths if is_own(path)]
    return [scope for scope in found if scope is not None and not scope.is_module]
