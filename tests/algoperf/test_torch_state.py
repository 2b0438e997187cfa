"""What a checkpoint of a PyTorch run holds: the objects of the state and how they hang together."""

import copy
import functools
import io
import pickle

import pytest
import torch
from torch import nn

from algoperf.backends import torch_checkpoint

CPU = torch.device("cpu")


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


class Written:
    """A state that was made, changed and saved."""

    def __init__(self, make_state, change=lambda module, state: None):
        self.module = model()
        self.state = make_state(self.module)
        initial = torch_checkpoint.initial(self.module, self.state)
        change(self.module, self.state)
        written = torch_checkpoint.write(self.module, self.state, initial)
        self.unsaved = written.unsaved
        file = io.BytesIO(pickle.dumps(torch_checkpoint.gathered(written, None)))
        self.saved = pickle.load(file)

    def restored(self, make_state, **processes):
        """(module, state) of another process."""
        module = model()
        state = make_state(module)
        at = {"device": CPU, "process_index": 0, "num_processes": 1, **processes}
        torch_checkpoint.restore(self.saved, module, state, **at)
        return module, state


def there_and_back(make_state, change=lambda module, state: None):
    """(module, state) after a restart; nothing may be left out."""
    written = Written(make_state, change)
    assert list(written.unsaved) == []
    return written.restored(make_state)


def test_what_shares_memory_shares_it_again():
    def make_state(module):
        whole = torch.zeros(6)
        return {"of_model": [p.data for p in module.parameters()], "whole": whole, "part": whole[2:4]}

    module, state = there_and_back(make_state, lambda _, state: state["part"].add_(1))
    for parameter, alias in zip(module.parameters(), state["of_model"], strict=True):
        assert alias.data_ptr() == parameter.data_ptr()
    state["part"].add_(1)
    assert state["whole"].tolist() == [0, 0, 2, 2, 0, 0]


def test_objects_that_were_there_are_filled_because_others_know_them():
    seen = []

    class Local:  # `pickle` could not find it.
        def __init__(self):
            self.count, self.function = 0, lambda: self.count

    def make_state(module):
        optimizer, local, tensor = (
            torch.optim.SGD(module.parameters(), 0.1, momentum=0.9),
            Local(),
            torch.zeros(2),
        )
        seen.append((optimizer, local, tensor))
        return {"optimizer": optimizer, "local": local, "tensor": tensor, "again": {"optimizer": optimizer}}

    def change(module, state):
        module(torch.ones(5, 3)).sum().backward()
        state["optimizer"].step()
        state["local"].count += 3
        state["tensor"] += 1

    _, state = there_and_back(make_state, change)
    optimizer, local, tensor = seen[-1]
    assert state["optimizer"] is state["again"]["optimizer"] is optimizer
    assert len(optimizer.state) == 6
    assert (state["local"], local.function()) == (local, 3)
    assert state["tensor"] is tensor
    assert tensor.tolist() == [1, 1]


def test_a_tensor_that_was_exchanged_leaves_the_one_from_the_start_alone():
    """It may be a constant of the submission's module."""
    zero = torch.zeros(())

    def change(_, state):
        state["rate"] = state["rate"] + 5

    _, state = there_and_back(lambda module: {"rate": zero, "other": zero}, change)
    assert (float(state["rate"]), float(state["other"]), float(zero)) == (5, 0, 0)


def test_modes_frozen_parameters_and_gradients_are_as_they_were():
    def change(module, state):
        module(torch.ones(5, 3)).sum().backward()
        module[0].weight.requires_grad_(False)
        module[1].eval()

    module, _ = there_and_back(lambda module: {}, change)
    assert [p.requires_grad for p in module.parameters()] == [False, *[True] * 5]
    assert [one.training for one in module] == [True, False, True]
    assert all(p.grad is not None for p in module.parameters())


def test_a_copy_of_a_compiled_model_is_one_again():
    def change(module, state):
        state["average"] = torch.compile(copy.deepcopy(module))

    module, state = there_and_back(lambda module: {}, change)
    assert type(state["average"]) is type(torch.compile(nn.Linear(1, 1)))
    assert torch.equal(state["average"]._orig_mod[0].weight, module[0].weight)


def test_frozen_classes_functions_and_partials_come_back():
    def make_state(module):
        return {"partial": functools.partial(torch.add, torch.ones(2)), "list": [len, torch.zeros_like]}

    _, state = there_and_back(make_state)
    assert state["partial"](torch.ones(2)).tolist() == [2, 2]
    assert state["list"] == [len, torch.zeros_like]


def test_what_cannot_be_written_is_named_and_the_rest_is_saved():
    def make_state(module):
        return {"deep": [{"batches": (n for n in range(3))}], "count": 0}

    def change(module, state):
        state["count"] = 4
        state["late"] = lambda: 0

    written = Written(make_state, change)
    assert [text.split(" (")[0] for text in written.unsaved] == [
        "optimizer_state['deep'][0]['batches']",
        "optimizer_state['late']",
    ]
    _, state = written.restored(make_state)
    assert state["count"] == 4
    assert next(state["deep"][0]["batches"]) == 0


class Contract:
    """Holds what cannot be written, and says itself what is to be saved."""

    def __init__(self):
        self.stream, self.position, self.scale = iter(n for n in range(9)), 0, torch.ones(1)

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]
        self.stream = iter(n for n in range(self.position, 9))


def test_an_object_with_a_part_that_cannot_be_written_is_asked_for_its_own_state():
    def change(module, state):
        state["own"].position = 5
        state["own"].scale.mul_(3)

    _, state = there_and_back(lambda module: {"own": Contract()}, change)
    assert (state["own"].position, float(state["own"].scale), next(state["own"].stream)) == (5, 3, 5)


def test_an_error_of_the_submissions_own_state_dict_is_named_and_the_rest_is_saved():
    class Failing(Contract):
        def state_dict(self):
            raise NotImplementedError("use distributed_state_dict")

    def make_state(module):
        return {"own": Failing(), "count": 0}

    written = Written(make_state, lambda module, state: state.update(count=2))
    text = " and ".join(written.unsaved)
    assert "optimizer_state['own'].state_dict() (NotImplementedError: use distributed_state_dict)" in text
    assert "optimizer_state['own'].stream" in text
    assert written.restored(make_state)[1]["count"] == 2


def test_an_optimizer_is_consolidated_where_it_offers_that(monkeypatch):
    calls = []

    class Sharded(Contract):
        def consolidate_state_dict(self, to=0):
            calls.append(to)

    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    there_and_back(lambda module: {"own": Sharded()})
    assert calls == [0, 1]


def test_checkpoints_of_the_first_version_are_restored():
    def make_state(module):
        return {"optimizer": torch.optim.SGD(module.parameters(), 0.1, momentum=0.9), "count": 0, "odd": None}

    source = model()
    optimizer = torch.optim.SGD(source.parameters(), 0.2, momentum=0.9)
    source(torch.ones(5, 3)).sum().backward()
    optimizer.step()
    entries = {
        "optimizer": ("state_dict", optimizer.state_dict()),
        "count": ("value", 7),
        "odd": ("skipped", None),
    }
    saved = {"module": source.state_dict(), "optimizer": entries}
    module = model()
    state = make_state(module)
    torch_checkpoint.restore(saved, module, state, device=CPU, process_index=0, num_processes=1)
    assert all(torch.equal(p, q) for p, q in zip(module.parameters(), source.parameters(), strict=True))
    assert (state["optimizer"].param_groups[0]["lr"], state["count"], state["odd"]) == (0.2, 7, None)


@pytest.mark.parametrize("change", ["dtype", "stride", "storage"])
def test_a_parameter_that_lies_elsewhere_by_now_lies_there_again(change):
    def relocate(module, state):
        weight = module[0].weight
        if change == "stride":
            weight.data = weight.data.t().contiguous().t()
        elif change == "storage":
            weight.data = torch.zeros(20)[4:16].view(4, 3).copy_(weight.data)
        else:
            weight.data = weight.data.double()

    module, _ = there_and_back(lambda module: {}, relocate)
    weight = module[0].weight
    assert torch.equal(weight.float(), model()[0].weight)
    if change == "dtype":
        assert weight.dtype == torch.float64
    if change == "stride":
        assert weight.stride() == (1, 4)
    if change == "storage":
        assert (weight.storage_offset(), weight.untyped_storage().nbytes()) == (4, 80)


def counting(module):
    count = 0

    def step():
        nonlocal count
        count += 1

    return step, lambda step: step()


def with_an_optimizer(module):
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    return lambda: optimizer.step(), lambda step: step()


def averaging(module):
    averages = {"of": [torch.zeros(2)]}
    return lambda: averages["of"][0].add_(1), lambda step: step()


def through_another(module):
    inner, change = counting(module)
    return lambda: inner(), change


@pytest.mark.parametrize("make", [counting, with_an_optimizer, averaging, through_another])
def test_what_only_a_function_keeps_is_named_as_soon_as_it_changes(make):
    changes = []

    def make_state(module):
        function, change = make(module)
        changes.append(change)
        return {"step": [function]}

    def change(module, state):
        for parameter in module.parameters():
            parameter.grad = torch.ones_like(parameter)
        changes[0](state["step"][0])

    assert list(Written(make_state).unsaved) == []
    changes.clear()
    (unsaved,) = Written(make_state, change).unsaved
    assert unsaved.endswith(" of the function optimizer_state['step'][0]")


def test_functions_that_keep_what_the_state_or_the_model_has_are_not_named():
    def make_state(module):
        optimizer, rate = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9), 0.5
        average = [p.detach().clone() for p in module.parameters()]

        def step():
            optimizer.step()
            for own, parameter in zip(average, module.parameters(), strict=True):
                own.lerp_(parameter.detach(), rate)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: rate**t)
        return {"optimizer": optimizer, "average": average, "step": step, "schedule": schedule}

    def change(module, state):
        for parameter in module.parameters():
            parameter.grad = torch.ones_like(parameter)
        state["step"]()
        state["schedule"].step()

    assert list(Written(make_state, change).unsaved) == []
