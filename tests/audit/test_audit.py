"""What the audit sees through, what it leaves alone, and how its command answers."""

import json
import subprocess
import sys
import textwrap
import time

import pytest
from harness import ROOT

from algoperf.spec import UsageError
from audit.audit import audit
from audit.findings import Grade

HEAD = """
import torch
from algoperf import spec

def get_batch_size(workload_name):
    return {"wmt": 128, "digits": 64}[workload_name]

def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return {"optimizer": torch.optim.SGD(model_params.parameters(), lr=0.1)}

def data_selection(workload, input_queue, optimizer_state, params, model_state, hyperparameters, global_step, rng):
    return next(input_queue)
"""
UPDATE = """
def update_params(*, workload, current_param_container, model_state, batch, optimizer_state, eval_results,
                  global_step, rng, hyperparameters, **others):
    model = current_param_container
    {body}
    return optimizer_state, model, model_state
"""


@pytest.fixture
def submission(tmp_path):
    """Makes a submission of lines at the top, lines in update_params, and further files; returns its report."""

    def make(top="", body="pass", **others):
        folder = tmp_path / "mine"
        folder.mkdir(exist_ok=True)
        body = textwrap.indent(textwrap.dedent(body), "    ").strip()
        text = HEAD + textwrap.dedent(top) + UPDATE.replace("{body}", body)
        (folder / "submission_torch.py").write_text(text)
        for name, content in others.items():
            path = folder / (name if name == "__init__.py" else name.replace("__", "."))
            path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
        return audit(folder)

    return make


def above_notes(report):
    return {one.check.id for one in report.findings if one.grade > Grade.NOTE}


CLOCKS = [
    "import algoperf.run.clock as c",
    "from algoperf.run import clock",
    "from algoperf.run.clock import *",
    "import algorithmic_efficiency.run.clock",
    "c = __import__('algoperf.run.clock')",
    "import importlib\nc = importlib.import_module('algoperf.' + 'run.clock')",
    "from importlib import import_module as get\nc = get('.'.join(['algoperf', 'run', 'clock']))",
    "import sys\nc = sys.modules['algoperf.run.clock']",
    "import algoperf\nc = getattr(algoperf, 'run')",
    "import operator, algoperf\nc = operator.attrgetter('run.clock')(algoperf)",
    "import importlib\nc = importlib.import_module('kcolc.nur.frepogla'[::-1])",
    "c = vars(__import__('sys'))['modules']['algoperf.run.clock']",
]


@pytest.mark.parametrize("top", CLOCKS)
def test_a_module_of_the_harness_is_seen_however_it_is_named(submission, top):
    assert above_notes(submission(top)) & {"harness-module", "import-system"}


PATCHES = [
    "torch.nn.Module.eval = print",
    "M = torch.nn.Module\nM.eval = print",
    "setattr(torch.nn.Module, 'eval', print)",
    "setattr(torch.nn.Module, 'ev' + 'al', print)",
    "for kind in (torch.nn.Linear, torch.nn.Module):\n    kind.eval = print",
    "vars(torch)['no_grad'] = print",
    "torch.__dict__['no_grad'] = print",
    "torch.nn.__dict__.update(Module=print)",
    "type.__setattr__(torch.nn.Module, 'eval', print)",
    "import builtins\nbuiltins.float = print",
    "import time\ntime.perf_counter_ns = print",
    "def change(module):\n    module.eval = print\n\nchange(torch.nn.Module)",
    "class Holder:\n    def __init__(self, it):\n        self.it = it\n\nHolder(torch.nn.Module).it.eval = print",
    "spec.TrainingCompleteError = ValueError",
    "del torch.nn.Module.eval",
    "torch.nn.Module.eval += print",
]


@pytest.mark.parametrize("top", PATCHES)
def test_code_of_others_is_not_changed_however_it_is_written(submission, top):
    assert above_notes(submission(top)) & {"patches-others", "patches-harness"}


NAMES = [
    "if workload.name == 'wmt': pass",
    "rate = {'wmt': 0.1}.get(workload.name)",
    "rate = {'wmt': 0.1, 'ogbg': 0.2}[workload.name[:3]]",
    "name = type(workload).__name__\nrate = 0.1 if 'wmt' in name.lower() else 0.2",
    "facts = [workload]\nif facts[0].name.startswith('w'): pass",
    "match workload.name:\n    case 'wmt': pass",
    "if getattr(workload, 'na' + 'me') == 'w' + 'mt': pass",
]


@pytest.mark.parametrize("body", NAMES)
def test_the_name_of_the_workload_decides_nothing(submission, body):
    assert above_notes(submission(body=body)) & {"workload-name", "workload-in-source"}


FACTS = [
    "if workload.step_hint == 52_000: pass",
    "n = workload.num_train_examples\nif n == 350_343: pass",
    "rate = {1297: 0.1, 350343: 0.2}.get(workload.num_train_examples, 0.3)",
    "if (workload.step_hint // 1000) in (52, 133): pass",
    "if round(workload.validation_target_value, 3) != 0.976: pass",
    "match workload.step_hint:\n    case 52000: pass",
    "key = f'{workload.step_hint}'\nrate = {'52000': 0.1}[key]",
]


@pytest.mark.parametrize("body", FACTS)
def test_facts_are_no_fingerprints(submission, body):
    assert above_notes(submission(body=body)) & {"fingerprint", "shape-table"}


TRICKS = {
    "batch-size-side-effect": [
        "def get_batch_size(name):\n    get_batch_size.last = name\n    return 64",
        "def get_batch_size(name):\n    global LAST\n    LAST = name\n    return 64",
        "import types\nL = types.SimpleNamespace()\n\ndef get_batch_size(name):\n    L.last = name\n    return 64",
    ],
    "training-off-the-clock": [
        "class D(dict):\n    def items(self):\n        self.loss.backward()\n        return super().items()",
        "import logging\n\nclass H(logging.Handler):\n    def emit(self, record):\n        record.loss.backward()",
        "class A:\n    def __del__(self):\n        self.loss.backward()",
        "import weakref\nweakref.finalize(spec, lambda: torch.autograd.backward([]))",
    ],
    "training-in-setup": [
        "torch.zeros(1, requires_grad=True).sum().backward()",
        "def warm(it):\n    it.model_fn()\n\ndef init_optimizer_state(w, *rest):\n    return warm(w) or {}",
    ],
    "own-initialisation": ["torch.nn.init.orthogonal_(torch.zeros(2, 2))"],
    "framework-insides": ["import jax._src.core"],
    "sets-environment": [
        "import os\nos.environ['OMP_NUM_THREADS'] = '8'",
        "import os\nos.environ.update(A='1')",
    ],
    "sets-precision": [
        "torch.backends.cuda.matmul.allow_tf32 = True",
        "import jax\njax.config.update('jax_enable_x64', 1)",
    ],
    "python-insides": [
        "def f(): pass\n\nf.__globals__['torch'] = None",
        "g = getattr(spec.UsageError, '__sub' + 'classes__')()",
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    frame = error.__traceback__.tb_frame",
    ],
    "signals": ["import signal\nsignal.setitimer(signal.ITIMER_REAL, 1)"],
    "at-exit": ["from atexit import register\n\n@register\ndef f(): pass"],
    "process": [
        "import os\nos.kill(os.getpid(), 9)",
        "from multiprocessing import Process",
        "import torch.multiprocessing",
    ],
    "network": ["from urllib.request import urlopen", "import requests"],
    "writes-file": ["open('x', 'a').close()", "from pathlib import Path\nPath('x').open(mode='wb')"],
    "foreign-model": ["import torchvision.models as m"],
    "import-by-text": ["import importlib, os\nimportlib.import_module(os.environ.get('X'))"],
    "tensor-class": [
        "class T(torch.Tensor): pass",
        "class T:\n    def __torch_function__(self, *rest): pass",
    ],
    "takes-class": ["class W(spec.Workload): pass"],
    "own-docstring": ["numbers = __doc__.split()"],
    "patching": ["from unittest import mock\nmock.patch('time.time').start()"],
    "machine": ["import os\nos.nice(-5)", "from torch import set_num_threads as more\nmore(8)"],
    "custom-kernel": ["import triton", "from torch.utils.cpp_extension import load_inline"],
    "global-seed": ["torch.manual_seed(7)"],
}
STEPS = {
    "private-name": [
        "workload._evaluator",
        "workload.__dict__['x']",
        "getattr(workload, '_build' + '_input_queue')",
    ],
    "harness-attribute": ["workload.model.loss = None", "m = vars(workload)['backend']"],
    "attribute-by-text": ["for n in dir(workload): getattr(workload, n)"],
    "writes-argument": [
        "eval_results.clear()",
        "eval_results[0] = (0, {})",
        "object.__setattr__(hyperparameters, 'a', 1)",
    ],
    "test-metric": [
        "eval_results[-1][1]['test/accuracy']",
        "eval_results[-1][1]['te' + 'st/loss']",
        "eval_results[-1][1]['%s/accuracy' % 'test']",
        "eval_results[-1][1]['/'.join(['test', workload.target_metric_name])]",
        "[k for k in eval_results[-1][1] if k.startswith('test')]",
    ],
    "all-metrics": [
        "best = max(eval_results[-1][1].values())",
        "for k, v in eval_results[-1][1].items(): pass",
    ],
    "replaced-method": [
        "model.forward = print",
        "for m in model.modules():\n    m.train = lambda mode=True: m",
        "setattr(next(model.children()), 'forward', print)",
        "object.__setattr__(model, 'eval', print)",
        "model.__class__ = type('X', (type(model),), {})",
        "model.__dict__['forward'] = print",
    ],
    "replaced-layer": [
        "model.hidden = torch.nn.Linear(3, 3)",
        "model.convs[0] = torch.nn.Conv2d(1, 1, 1)",
        "model.add_module('x', torch.nn.GELU())",
        "model._modules['act'] = torch.nn.GELU()",
    ],
    "forward-hook": [
        "model.register_forward_hook(print)",
        "[m.register_forward_pre_hook(print) for m in model.modules()]",
    ],
    "calls-model": [
        "model(batch['inputs'])",
        "torch.func.functional_call(model, {}, (batch['inputs'],))",
    ],
    "cast-model": [
        "model.half()",
        "model.to(torch.bfloat16)",
        "batch['inputs'].half()",
        "model.to(dtype=torch.float16)",
    ],
    "precision": [
        "with torch.autocast('cpu', dtype=torch.bfloat16): pass",
        "with torch.amp.autocast('cuda'): pass",
    ],
    "changed-example": [
        "batch['targets'] = batch['targets'].flip(0)",
        "x = batch['inputs'] + 0.1 * torch.randn(3)",
        "both = {**batch, 'inputs': torch.flip(batch['inputs'], [1])}",
        "batch['inputs'].add_(1)",
    ],
    "one-shape": [
        "if batch['inputs'].shape[1:] == (224, 224, 3): pass",
        "n = len(list(model.parameters())) == 60",
    ],
    "threshold": ["if workload.step_hint > 100_000: pass", "if workload.target_metric_name == 'bleu': pass"],
    "running-thread": ["import threading\nthreading.Thread(target=print, daemon=True).start()"],
    "evaluation-row": ["workload.metrics_logger.append_scalar_metrics({}, 0, **{'is_eval': True})"],
    "inside-the-logger": ["workload.metrics_logger._logger"],
    "new-parameters": ["workload.init_model_fn([1, 2])"],
    "exit": ["raise SystemExit(0)"],
    "sleep": ["from time import sleep as pause\npause(3)"],
}


@pytest.mark.parametrize(("check", "top"), [(check, top) for check, tops in TRICKS.items() for top in tops])
def test_tricks_at_the_top_of_a_file_are_named(submission, check, top):
    assert check in above_notes(submission(top))


@pytest.mark.parametrize(
    ("check", "body"), [(check, body) for check, bodies in STEPS.items() for body in bodies]
)
def test_tricks_in_a_step_are_named(submission, check, body):
    assert check in above_notes(submission(body=body))


def test_the_queue_is_not_looked_into(submission):
    top = "def data_selection(w, q, *rest):\n    return q.gi_frame or q._loader or q.send(None)"
    assert {"inside-the-queue", "python-insides"} <= above_notes(submission(top))


def test_files_that_python_runs_by_itself_are_read(submission):
    assert "process" in above_notes(submission(**{"__init__.py": "import subprocess"}))
    assert "compiled-file" in above_notes(submission(fast__so=b"ELF"))


HONEST = [
    "rate = 0.1 * min(global_step / max(workload.step_hint * 0.05, 1), 1)",
    "if global_step == int(workload.step_hint * 0.9): pass",
    "if global_step % max(workload.step_hint // 100, 1) == 0: pass",
    "if workload.num_train_examples > 0 and workload.step_hint >= 1: pass",
    "if workload.loss_type == spec.LossType.SOFTMAX_CROSS_ENTROPY: pass",
    "for p in model.parameters():\n    if p.ndim == 2 and p.shape[0] > 1: pass",
    "for name, p in model.named_parameters():\n    if 'embed' in name or p.numel() > 1_000_000: pass",
    "for p in model.parameters():\n    p.data = p.data.clone()\n    p.grad = None\n    p.momentum = p.detach() * 0",
    "if len(eval_results) > 3:\n    last = eval_results[-1][1]['validation/' + workload.target_metric_name]",
    "m = workload.target_metric_name\nif m in ['loss', 'wer']: pass",
    "import os\nrank = int(os.environ.get('RANK', 0)), os.environ['LOCAL_RANK']",
    "state = [p.detach().cpu().bfloat16() for p in model.parameters()]",
    "model.train()\nmodel.zero_grad(set_to_none=True)\nmodel.eval()",
    "log = workload.metrics_logger\nif log is not None:\n    log.append_scalar_metrics({'loss': 0.1}, global_step)",
    "more = [next(batch) for _ in range(2)]",
    "rate = getattr(hyperparameters, 'learning_rate', 0.1)",
    "from concurrent import futures\nwith futures.ThreadPoolExecutor() as pool:\n    list(pool.map(abs, [1]))",
    "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()",
    "order = torch.randperm(len(batch['targets']))\nbatch = {k: v[order] for k, v in batch.items()}",
    "import math, copy, functools, itertools, collections, random, logging, warnings, dataclasses",
    "params, _ = workload.init_model_fn(rng)",
    "with torch.no_grad():\n    workload.model_fn(model, batch, None, spec.ForwardPassMode.TRAIN, rng, True)",
    "hp = hyperparameters._replace(learning_rate=0.2)",
    "logits, _ = workload.model_fn(model, batch, None, spec.ForwardPassMode.TRAIN, rng, True)\n"
    "right = (logits.argmax(-1) == batch['targets']).float().mean()\nif right > 0.5: pass",
    "raise spec.TrainingCompleteError(f'enough of {workload.name}')",
]


@pytest.mark.parametrize("body", HONEST)
def test_what_the_rules_allow_is_at_most_noted(submission, body):
    report = submission(body=body)
    assert above_notes(report) == set(), report.text()


def test_a_state_dict_of_ones_own_is_fine(submission):
    top = """
    class Rule:
        def state_dict(self):
            return {key: value for key, value in self.__dict__.items() if key != "model"}

        def load_state_dict(self, state):
            self.__dict__.update(state)
    """
    assert above_notes(submission(top)) == set()


def test_a_table_that_only_get_batch_size_reads_may_name_workloads(submission):
    top = "SIZES = {'wmt': 128}\n\ndef get_batch_size(name):\n    return SIZES[name]\n"
    assert above_notes(submission(top)) == set()
    assert above_notes(submission(top, "rate = SIZES.get('x')")) == {"workload-in-source"}


def test_training_is_followed_through_calls_to_what_runs_off_the_clock(submission):
    top = """
    class Part:
        def __init__(self, model): self.model = model
        def __deepcopy__(self, memo): return helper(self.model)

    def helper(model):
        return deeper(model)

    def deeper(model):
        model.loss.backward()
    """
    assert "training-off-the-clock" in above_notes(submission(top))
    assert above_notes(submission(top.replace("__deepcopy__", "advance"))) == set()


def test_data_are_measured(submission):
    assert above_notes(submission("TEXT = '" + "x" * 1500 + "'")) == {"long-text"}
    assert above_notes(submission("TEXT = b'" + "x" * 20_000 + "'")) == {"huge-text"}
    assert above_notes(submission(f"TABLE = {[0.5] * 300}")) == {"many-numbers"}
    assert above_notes(submission(f"NUMBER = {10**4000}")) == {"long-text"}
    assert above_notes(submission(theta__npz=b"\0" * 3000)) == {"data-file"}


def test_a_file_with_workloads_for_keys_is_forbidden(submission):
    assert "workloads-in-file" in above_notes(submission(rates__json='{"a": {"wmt": 0.1}}'))


def test_a_file_that_nothing_imports_is_noted_unless_it_can_be_reached(submission):
    other = "import subprocess\nsubprocess.run(['ls'])\n"
    assert above_notes(submission(extra__py=other)) == set()
    assert "process" in above_notes(submission("from . import extra", extra__py=other))
    assert "process" in above_notes(submission("exec('x')", extra__py=other))


def test_the_contract_is_checked(submission, tmp_path):
    assert submission("def get_batch_size():\n    return 1\n").findings[0].check.id == "signature"
    assert submission("del data_selection\nupdate = None\n").exit_code == 0
    space = '{"learning_rate": {"min": 2, "max": 1, "scaling": "log"}}'
    assert "search-space" in above_notes(submission(tuning_search_space__json=space))
    (tmp_path / "mine" / "submission_torch.py").write_text("def get_batch_size(name: return 1")
    assert above_notes(audit(tmp_path / "mine")) == {"not-python", "search-space"}
    (tmp_path / "mine" / "submission_torch.py").write_text("import torch\n")
    missing = {one.what for one in audit(tmp_path / "mine").findings if one.check.id == "missing-function"}
    assert missing == {"get_batch_size", "init_optimizer_state", "update_params", "data_selection"}


def test_findings_have_rules_lines_and_advice(submission):
    report = submission(body="import time\ntime.sleep(1)")
    found = next(one for one in report.findings if one.check.id == "sleep")
    assert found.check.rules[0] == "R3.19"
    lines = found.path.read_text().splitlines()
    assert lines[found.line - 1].strip() == "time.sleep(1)"
    assert "R3.19" in report.text()
    assert f"submission_torch.py:{found.line}" in report.text()
    assert report.as_json()["counts"]["forbidden"] == 1


def test_every_check_cites_rules_that_exist():
    import importlib
    import pkgutil

    import audit.checks
    from audit import name_checks
    from audit.findings import Check

    rules = (ROOT / "RULES.md").read_text()
    modules = [
        importlib.import_module(f"audit.checks.{one.name}")
        for one in pkgutil.iter_modules(audit.checks.__path__)
    ]
    checks = [
        value
        for module in (*modules, name_checks)
        for value in vars(module).values()
        if isinstance(value, Check)
    ]
    ids = {}
    for check in checks:
        assert ids.setdefault(check.id, check) == check, f"two checks are called {check.id}"
        assert check.rules
        for rule in check.rules:
            assert f"**{rule}**" in rules, f"{check.id} cites {rule}"
        assert check.instead or check.grade == Grade.NOTE
    assert len(ids) > 70


@pytest.mark.parametrize("path", ["nowhere", "README.md", "docs"])
def test_what_is_no_submission_is_refused(path):
    with pytest.raises(UsageError):
        audit(ROOT / path)


def test_a_large_submission_takes_less_than_a_second(submission):
    part = "\n".join(
        f"def f{n}(a, b=None):\n    c = a.x + b\n    for d in c:\n        d.y = f{max(n - 1, 0)}(d, c)\n    return c, d"
        for n in range(700)
    )
    begin = time.process_time()
    submission(part)
    assert time.process_time() - begin < 2.0  # 3,500 lines, more than any public submission; 0.4 s here.


def command(*arguments):
    line = [sys.executable, str(ROOT / "check_submission.py"), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_command_answers_with_text_json_and_exit_codes():
    done = command("tests/cheats/slow_clock")
    assert done.returncode == 1
    assert "[patches-harness]" in done.stdout
    done = command("submissions/template", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["counts"]["forbidden"] == 0
    for wrong in ([], ["nowhere"], ["a", "b"]):
        done = command(*wrong)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
