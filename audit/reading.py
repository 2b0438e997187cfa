"""Reads all files of a submission, statement by statement."""

import ast
from collections.abc import Iterable

from audit.calls import Calls
from audit.folder import Folder
from audit.paths import ARGUMENTS, POSITIONALS, longer
from audit.program import Paths, Program, Scope

MAX_PASSES = 8
"""Names settle after three or four."""


def read(folder: Folder) -> Program:
    """Everything that the audit knows of a submission."""
    program = Program(folder)
    reader = Reader(program)
    for _ in range(MAX_PASSES):
        program.has_changed = False
        reader.all_modules()
        if not program.has_changed:
            break
    reader.is_recording = True
    reader.all_modules()
    return program


class Reader(Calls):
    """Visits statements."""

    def all_modules(self) -> None:
        """Visits every file once, and gives the functions of the API what the harness passes them by position."""
        for module in self.program.modules.values():
            assert isinstance(module.node, ast.Module)
            self.program.add(module.names.setdefault("__name__", set()), {"@own_name"})
            self.program.add(module.names.setdefault("__file__", set()), {"@own_file"})
            self.program.add(module.names.setdefault("__doc__", set()), {"@own_doc"})
            self.block(module, module.node.body)
        for name, function in self.program.entry_points():
            if name in POSITIONALS and not function.is_class:
                for parameter, given in zip(function.parameters, POSITIONALS[name], strict=False):
                    if given in ARGUMENTS:
                        self.program.add(function.names.setdefault(parameter, set()), {ARGUMENTS[given]})
                arguments = getattr(function.node, "args", None)
                if arguments is not None and arguments.vararg is not None:
                    rest = {f"@*{name}:{len(function.parameters)}"}
                    self.program.add(function.names.setdefault(arguments.vararg.arg, set()), rest)

    def block(self, scope: Scope, statements: Iterable[ast.stmt]) -> None:
        """Visits statements."""
        for statement in statements:
            visit = getattr(self, f"visit_{type(statement).__name__}", self.visit_any)
            visit(scope, statement)

    def visit_any(self, scope: Scope, node: ast.AST) -> None:
        """Conditions, loops, returns of nothing: their expressions, then their blocks."""
        for _, field in ast.iter_fields(node):
            for part in field if isinstance(field, list) else [field]:
                if isinstance(part, ast.expr):
                    self.value(scope, part)
                elif isinstance(part, ast.stmt):
                    self.block(scope, [part])
                elif isinstance(part, (ast.excepthandler, ast.match_case)):
                    self.visit_any(scope, part)

    # ---- definitions -----------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, scope: Scope, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        inner = self.program.add_scope(scope.file, node, scope, node.name)
        self.define_arguments(scope, inner, node.args)
        found = {inner.path}
        for decorator in reversed(node.decorator_list):
            for path in self.value(scope, decorator):
                own = self.program.scope_of(path)
                if own is not None and not own.is_class:
                    self._runs(scope, own)
                    self._give(own, own.parameters, 0, {inner.path})
                    found |= own.returns
        self.value(scope, node.returns)
        self.block(inner, node.body)
        self.bind(scope, ast.Name(node.name, ast.Store()), found)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, scope: Scope, node: ast.ClassDef) -> None:
        inner = self.program.add_scope(scope.file, node, scope, node.name)
        for base in node.bases:
            self.program.add(inner.bases, self.value(scope, base))
        for part in (*node.decorator_list, *(keyword.value for keyword in node.keywords)):
            self.value(scope, part)
        self.record("class", node, scope, inner.bases)
        self.block(inner, node.body)
        self.bind(scope, ast.Name(node.name, ast.Store()), {inner.path})

    def define_arguments(self, scope: Scope, inner: Scope, arguments: ast.arguments) -> None:
        """The names that a function has from its head: taken for what they are called."""
        positional = [*arguments.posonlyargs, *arguments.args]
        for one in (*positional, *arguments.kwonlyargs):
            known = inner.names.setdefault(one.arg, set())
            if one.arg in ARGUMENTS:
                self.program.add(known, {ARGUMENTS[one.arg]})
            self.value(scope, one.annotation)
        if inner.is_method and positional and inner.parent is not None:
            self.program.add(inner.names[positional[0].arg], {f"{inner.parent.path}()"})
        defaults = [*zip(positional[::-1], arguments.defaults[::-1], strict=False)]
        defaults += [
            (one, default)
            for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if default is not None
        ]
        for one, default in defaults:
            self.program.add(inner.names[one.arg], self.value(scope, default))
        if arguments.vararg is not None:
            holder = self._container(scope, inner.node)[:-1] + ":v}"
            self.program.add(inner.names.setdefault(arguments.vararg.arg, set()), {holder})
        if arguments.kwarg is not None:
            self.program.add(inner.names.setdefault(arguments.kwarg.arg, set()), {"@kwargs"})

    def visit_Global(self, scope: Scope, node: ast.Global | ast.Nonlocal) -> None:
        scope.outer.update(node.names)

    visit_Nonlocal = visit_Global

    def visit_Import(self, scope: Scope, node: ast.Import) -> None:
        for alias in node.names:
            whole = self.imported(scope, alias.name)
            self.record("import", node, scope, [whole])
            path = whole if alias.asname else self.imported(scope, alias.name.split(".")[0])
            self.bind(scope, ast.Name(alias.asname or alias.name.split(".")[0], ast.Store()), {path})

    def visit_ImportFrom(self, scope: Scope, node: ast.ImportFrom) -> None:
        file = self.program.folder.file_of(
            scope.file.path, node.module or "", node.level, [alias.name for alias in node.names]
        )
        module = self.program.modules.get(file) if file is not None else None
        base = module.path if module else "." * node.level + self.module(node.module or "")
        for alias in node.names:
            if alias.name == "*":
                self.record("import", node, scope, [base])
                for name, values in list(module.names.items()) if module else ():
                    if not name.startswith("_"):
                        self.program.add(scope.names.setdefault(name, set()), values)
                continue
            inner = self.program.folder.file_of(
                scope.file.path, f"{node.module or ''}.{alias.name}".lstrip("."), node.level
            )
            if inner is not None and inner in self.program.modules:
                found = {self.program.modules[inner].path}
            elif module is not None:
                found = set(module.names.get(alias.name, ()))
            else:
                found = {f"{base}.{alias.name}"}
                self.record("import", node, scope, found)
            self.bind(scope, ast.Name(alias.asname or alias.name, ast.Store()), found)

    # ---- assignments -----------------------------------------------------------------------------------------------

    def visit_Return(self, scope: Scope, node: ast.Return) -> None:
        self.program.add(scope.returns, self.value(scope, node.value))

    def visit_Assign(self, scope: Scope, node: ast.Assign) -> None:
        values = self.value(scope, node.value)
        for target in node.targets:
            self.bind(scope, target, values)

    def visit_AnnAssign(self, scope: Scope, node: ast.AnnAssign) -> None:
        self.value(scope, node.annotation)
        if node.value is not None:
            self.bind(scope, node.target, self.value(scope, node.value))

    def visit_AugAssign(self, scope: Scope, node: ast.AugAssign) -> None:
        self.bind(scope, node.target, self.value(scope, node.value))
        if isinstance(node.target, (ast.Attribute, ast.Subscript)):
            return
        self.value(scope, node.target)

    def visit_Delete(self, scope: Scope, node: ast.Delete) -> None:
        for target in node.targets:
            if not isinstance(target, ast.Name):
                self.bind(scope, target, set())

    def visit_For(self, scope: Scope, node: ast.For | ast.AsyncFor) -> None:
        over = self.value(scope, node.iter)
        self.record("iterate", node.iter, scope, over)
        self.bind(scope, node.target, self.entries(over))
        self.block(scope, node.body)
        self.block(scope, node.orelse)

    visit_AsyncFor = visit_For

    def visit_With(self, scope: Scope, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            found = self.value(scope, item.context_expr)
            if item.optional_vars is not None:
                self.bind(scope, item.optional_vars, found)
        self.block(scope, node.body)

    visit_AsyncWith = visit_With

    def visit_Match(self, scope: Scope, node: ast.Match) -> None:
        subject = self.value(scope, node.subject)
        for case in node.cases:
            for part in ast.walk(case.pattern):
                if isinstance(part, ast.MatchValue):
                    self.record("compare", part, scope, subject, [subject, self.value(scope, part.value)])
            self.value(scope, case.guard)
            self.block(scope, case.body)

    def bind(self, scope: Scope, target: ast.AST, values: Paths) -> None:
        """Notes what a target may stand for."""
        if isinstance(target, ast.Name):
            owner = self._owner(scope, target.id)
            self.program.add(owner.names.setdefault(target.id, set()), values)
            if owner is not scope:
                self.record("store", target, scope, [f"{owner.path}.{target.id}"], [values])
        elif isinstance(target, ast.Starred):
            self.bind(scope, target.value, values)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for number, part in enumerate(target.elts):
                found: Paths = set()
                for path in values:
                    if path[:1] not in ("'", "#"):
                        found |= self.entry(path, {f"#{number}"})
                self.bind(scope, part, found)
        elif isinstance(target, ast.Attribute):
            bases = self.value(scope, target.value)
            for base in bases:
                self.set_attribute(base, target.attr, values)
            paths = [longer(base, f".{target.attr}") for base in bases]
            self.record("store", target, scope, paths, [values])
        elif isinstance(target, ast.Subscript):
            bases, keys = self.value(scope, target.value), self.value(scope, target.slice)
            names = [key[1:] for key in keys if key[:1] in "'#"] or ["[]"]
            paths = []
            for base in bases:
                for name in names:
                    if base[:1] == "{":
                        self.put(base, name, values)
                    if base.endswith(".__dict__"):
                        owner_path = base.removesuffix(".__dict__")
                        self.set_attribute(owner_path, name, values)
                        paths.append(longer(owner_path, f".{'*' if name == '[]' else name}"))
                    else:
                        paths.append(longer(base, "[]" if name == "[]" else f"[{name}]"))
            self.record("store", target, scope, paths, [values])

    def _owner(self, scope: Scope, name: str) -> Scope:
        """The scope that a name is assigned in."""
        if name not in scope.outer:
            return scope
        at = scope.parent
        while at is not None and at.parent is not None and (at.is_class or name not in at.names):
            at = at.parent
        return at or scope
