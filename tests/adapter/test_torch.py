"""Optimizers of PyTorch as submissions."""

import json
import types

import numpy as np
import pytest

from algoperf import adapter
from algoperf.adapter import named, objects, signature
from algoperf.spec import UsageError
from audit.audit import audit

torch = pytest.importorskip("torch")

OWN = '''
import torch
from helper_of_mine import SCALE


class Sharp(torch.optim.Optimizer):
    """Asks for the gradient once more, after a step uphill."""

    def __init__(self, params, base_optimizer, rho=0.05, **rest):
        super().__init__(params, {"rho": rho, **rest})
        self.base = base_optimizer(self.param_groups, **rest)
        self.param_groups = self.base.param_groups

    @torch.no_grad()
    def step(self, closure):
        params = [param for group in self.param_groups for param in group["params"] if param.grad is not None]
        uphill = [SCALE * group["rho"] * param.grad for group in self.param_groups for param in group["params"]]
        torch._foreach_add_(params, uphill)
        closure()
        torch._foreach_sub_(params, uphill)
        self.base.step()


class Averaging(torch.optim.SGD):
    """Evaluates half of its weights."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.is_trained = False

    def train(self):
        self._scale(2.0, True)

    def eval(self):
        self._scale(0.5, False)

    @torch.no_grad()
    def _scale(self, factor, is_trained):
        if self.is_trained != is_trained and (self.state or not is_trained):
            for group in self.param_groups:
                torch._foreach_mul_(group["params"], factor)
        self.is_trained = is_trained

    def step(self, closure=None):
        if not self.is_trained:
            raise RuntimeError("call train() first")
        self.state["used"] = True
        return super().step(closure)
'''


@pytest.fixture(scope="module")
def own_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "helper_of_mine.py").write_text("SCALE = 1.0\n")
    path = folder / "rules_of_mine.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("torch.optim.AdamW", {"lr": 0.01, "weight_decay": 0.1, "clip": 1.0, "betas": [0.9, 0.95]}),
        ("torch.optim.LBFGS", {"lr": 0.1, "max_iter": 3}),
        ("torch.optim.Muon", {"lr": 0.01, "rest_lr": 0.002}),
        ("{own}:Sharp", {"base_optimizer": "torch.optim.SGD", "base_optimizer.lr": 0.1, "rho": 0.01}),
        ("{own}:Averaging", {}),
    ],
)
def test_it_trains_and_nothing_of_the_folder_is_forbidden(text, settings, adapt, train, own_file):
    folder = adapt(text.format(own=own_file), settings)
    start, _ = train(folder, steps=0)
    after, _ = train(folder, steps=3)
    assert np.isfinite(after).all()
    assert not np.array_equal(after, start)
    assert audit(folder).exit_code == 0


def test_ejected_it_trains_to_the_same_parameters(adapt, train, tmp_path):
    settings = {"lr": 0.003, "weight_decay": 0.1, "schedule": "warmup_linear"}
    folder = adapt("torch.optim.NAdam", settings)
    ejected = adapt("torch.optim.NAdam", settings, eject=tmp_path / "edited")
    np.testing.assert_array_equal(train(folder, steps=20)[0], train(ejected, steps=20)[0])
    with pytest.raises(UsageError, match="there already"):
        adapt("torch.optim.NAdam", settings, eject=ejected)


def test_train_and_eval_swap_weights_around_an_evaluation(adapt, train, own_file):
    trained, evaluated = train(adapt(f"{own_file}:Averaging"), steps=2)
    np.testing.assert_array_equal(evaluated, trained / 2)


def test_the_same_settings_have_the_same_folder_and_others_another(adapt):
    first = adapt("torch.optim.SGD", {"lr": 0.1})
    assert adapt("torch.optim.SGD", {"lr": 0.1}) == first
    assert adapt("torch.optim.SGD", {"lr": 0.2}).name == "torch_optim_sgd_lr0.2"
    point = json.loads((first / "tuning_search_space.json").read_text())
    assert point == [{"lr": 0.1, "warmup_factor": 0.05}]
    assert f"torch {torch.__version__}" in (first / "submission_info.yml").read_text()


def test_a_file_that_changes_is_another_submission(adapt, tmp_path):
    file = tmp_path / "edited.py"
    source = "import torch\n\n\nclass Mine(torch.optim.SGD):\n    pass\n"
    file.write_text(source)
    first = adapt(f"{file}:Mine", {"lr": 0.1})
    file.write_text(source + "\n\nNEW = 1\n")
    assert adapt(f"{file}:Mine", {"lr": 0.1}) != first


def test_a_search_space_is_kept_with_what_is_set(adapt):
    space = {
        "lr": {"min": 1e-4, "max": 1e-2, "scaling": "log"},
        "one_minus_beta1": {"min": 0.05, "max": 0.2, "scaling": "log"},
    }
    folder = adapt("torch.optim.AdamW", {"weight_decay": 0.1}, space=space)
    written = json.loads((folder / "tuning_search_space.json").read_text())
    assert written == {
        **space,
        "weight_decay": {"feasible_points": [0.1]},
        "warmup_factor": {"feasible_points": [0.05]},
    }
    assert "betas=(1 - hyperparameters.one_minus_beta1, 0.999)" in (folder / "submission.py").read_text()


def test_weight_decay_acts_on_matrices_alone_unless_all_is_said(adapt):
    assert "groups_of" in (adapt("torch.optim.AdamW", {"lr": 0.1}) / "submission.py").read_text()
    everything = adapt("torch.optim.AdamW", {"lr": 0.1, "decay": "all"})
    assert "groups_of" not in (everything / "submission.py").read_text()


@pytest.mark.parametrize(
    ("text", "settings", "said"),
    [
        ("torch.optim.AdamW", {"learning_rat": 0.1}, "Choose from"),
        ("torch.optim.AdamW", {"weight_decey": 0.1}, "nearest is 'weight_decay'"),
        ("torch.optim.AdamW", {"lr": "fast"}, "lr is a number"),
        ("torch.optim.AdamW", {"betas": [0.9]}, "has 2 values"),
        ("torch.optim.AdamX", {}, "nearest is 'Adam"),
        ("torch.optim.SparseAdam", {}, "does not support dense gradients"),
        ("torch.optim.Muon", {"matrices": "all"}, "takes matrices only"),
        ("torch.optim.LBFGS", {"warmup": 0.1}, "schedule that warms up"),
        ("torch.optim.LBFGS", {"decay": "matrices"}, "cannot leave parameters out"),
        ("torch.nn.Linear", {}, "is a class and no"),
        ("no_such_package.Rule", {}, "no module 'no_such_package'"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(text, settings, said, adapt):
    with pytest.raises(UsageError, match=said):
        adapt(text, settings)


def test_a_name_of_the_search_space_that_nothing_reads_is_refused(adapt):
    with pytest.raises(UsageError, match="nearest is 'lr'"):
        adapt("torch.optim.SGD", space=[{"lr": 0.1, "lrr": 0.1}])


def test_another_framework_is_refused(adapt):
    with pytest.raises(UsageError, match="written for pytorch, not for jax"):
        adapt("torch.optim.AdamW", framework="jax")


def test_an_argument_without_default_is_asked_for(adapt, own_file):
    with pytest.raises(UsageError, match="needs base_optimizer, which has no default"):
        adapt(f"{own_file}:Sharp")


RATE_OF_NOTEBOOK = 0.1


class OfNotebook(torch.optim.SGD):
    """As a notebook defines one."""

    def __init__(self, params, lr=RATE_OF_NOTEBOOK):
        super().__init__(params, lr)
        self.shapes = [np.shape(group["params"]) for group in self.param_groups[:0]]


def test_a_class_is_named_by_its_package_or_its_source_is_stored(tmp_path, monkeypatch):
    assert objects.name_of(torch.optim.AdamW, tmp_path) == "torch.optim.AdamW"
    monkeypatch.setattr(OfNotebook, "__module__", "__main__")
    text = objects.name_of(OfNotebook, tmp_path)
    source = (tmp_path / "ofnotebook_source.py").read_text()
    assert text == f"{tmp_path}/ofnotebook_source.py:OfNotebook"
    assert "RATE_OF_NOTEBOOK = 0.1" in source
    assert "import numpy as np" in source
    made = types.ModuleType("made")
    exec(source, vars(made))
    assert issubclass(made.OfNotebook, torch.optim.SGD)


def test_another_process_imports_the_optimizer(tmp_path):
    folder = adapter.as_submission(torch.optim.SGD, settings={"lr": 0.1}, root=tmp_path)
    assert folder == tmp_path / "torch_optim_sgd_lr0.1"
    with pytest.raises(UsageError, match="nearest is 'momentum'"):
        adapter.as_submission("torch.optim.SGD", settings={"momentums": 0.1}, root=tmp_path)


def test_a_package_is_named_with_its_version():
    assert signature.load(named.parse("torch.optim.SGD")).package == f"torch {torch.__version__}"


def test_a_file_of_the_users_takes_not_the_place_of_what_is_written(adapt, tmp_path):
    (tmp_path / "submission.py").write_text("import torch\n\n\nclass Mine(torch.optim.SGD):\n    pass\n")
    with pytest.raises(UsageError, match="rename it"):
        adapt(f"{tmp_path / 'submission.py'}:Mine", {"lr": 0.1})
