"""What imports what: the core and scoring no framework, arrows one way. (For runs: test_submission_runner.py.)"""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from harness import ROOT
from quick import FRAMEWORK_PACKAGES

from algoperf import frameworks, suites, tuning


def imported_by(code):
    """Packages of frameworks that a fresh process has imported after `code`."""
    code += f"; import sys; print('imported', *sorted(set(sys.modules) & set({FRAMEWORK_PACKAGES!r})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


def test_core_and_scoring_import_no_framework():
    neutral = [
        f"algoperf.{path.stem}"
        for path in sorted((ROOT / "algoperf").glob("*.py"))
        if not path.stem.startswith(("jax_", "pytorch_", "torch_", "__"))
    ]
    neutral += [f"algoperf.run.{path.stem}" for path in (ROOT / "algoperf" / "run").glob("[a-z]*.py")]
    neutral += ["algoperf.backends", "algoperf.backends.base", "algoperf.data.queue", "algoperf.data.stream"]
    neutral += ["algoperf.data.locate", "algoperf.metrics.averages", "submission_runner"]
    neutral += [f"algoperf.cli.{path.stem}" for path in (ROOT / "algoperf" / "cli").glob("[a-z]*.py")]
    neutral += [one.launch for one in frameworks.FRAMEWORKS]
    neutral += [
        "scoring.score_field",
        "scoring.site.build",
        "scoring.validation",
        "algorithmic_efficiency.spec",
        "reference_algorithms",
    ]
    neutral += ["target_setting.analysis", "target_setting.procedures.run", "campaign.benchmark"]
    assert len(neutral) > 20
    registry = "from algoperf import registry; specs = [registry.get(n) for n in registry.names()]"
    data = "modules = [registry.data_module(s) for s in specs], [registry.metrics_module(s) for s in specs]"
    assert imported_by(f"import {', '.join(neutral)}; {registry}; {data}") == []
    assert imported_by("import score_submissions") == []
    assert imported_by("import set_targets") == []
    assert imported_by("import run_benchmark") == []
    assert imported_by("import draw_held_out") == []
    assert imported_by("import check_submission, audit.audit, review.bundle") == []


@pytest.mark.parametrize(
    "package",
    [
        "algoperf",
        "audit",
        "campaign",
        "reference_algorithms",
        "review",
        "scoring",
        "target_setting",
        "workloads",
    ],
)
def test_every_module_can_be_imported(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        importlib.import_module(
            ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        )


@pytest.mark.parametrize("name", suites.names())
def test_every_suite_that_is_shipped_loads(name):
    suite = suites.load(name)
    assert suite.name == name
    for workload in suite.scored_names():
        assert suite.budget_sec(workload, "external") > 0
    for ruleset in ("external", "self"):
        assert suite.ruleset(ruleset).num_trials >= 1


SPACES = sorted(
    [*ROOT.glob("reference_algorithms/*/tuning_*.json"), *ROOT.glob("submissions/*/tuning_*.json")]
)


@pytest.mark.parametrize("path", SPACES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_search_space_that_is_shipped_loads_and_gives_a_study_of_points(path):
    space = tuning.load_search_space(path)
    points = tuning.draw_points(space, 5, seed=0)
    assert len(points) == 5
    assert len({json.dumps(point, sort_keys=True) for point in points}) == 5
    for point in points:
        assert tuning.make_hyperparameters(point).learning_rate > 0


def test_search_spaces_are_found():
    assert {path.parent.name for path in SPACES} >= {"adamw", "nadamw", "nesterov", "template"}


def test_the_core_knows_no_workload_by_name():
    """`algoperf/` is found by every workload, and finds them by their folders."""
    from algoperf import registry

    families = set(registry.discover()) - {"digits"}  # The development workload has its place in defaults.
    for path in (ROOT / "algoperf").rglob("*.py"):
        for node in _strings_of_code(path):
            assert node not in families, f"{path.relative_to(ROOT)} names the workload {node!r}"


def _strings_of_code(path: Path):
    import ast

    tree = ast.parse(path.read_text())
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
