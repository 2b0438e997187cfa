"""The workload of the documentation conforms; the same one with a mistake is refused by the check for it."""

import documented
import pytest
from conformance import first_refusal

from algoperf import registry

# Folder in `mistakes/` -> the check that refuses it first, and what the error says.
REFUSED = {
    "wrong_direction": (
        "untrained_weights_do_not_meet_the_target",
        "meets the validation target of 0.6 already: is higher_is_better=True right",
    ),
    "unknown_metric": ("evaluation_changes_nothing", "lack its target metric, 'r_squared'"),
    "text_metrics": ("evaluation_changes_nothing", "'loss' .* must be a number, got 'high'"),
    "variant_differs": ("frameworks_agree_on_the_outputs_of_an_evaluation_with_the_same_weights", "loss"),
    "other_activation": ("frameworks_agree_on_the_outputs_of_an_evaluation_with_the_same_weights", "loss"),
    "outputs_in_one_framework": (
        "frameworks_agree_on_the_outputs_of_an_evaluation_with_the_same_weights",
        "eval_outputs must give the same in every framework",
    ),
    "other_initializer": ("frameworks_draw_new_weights_from_the_same_distributions", "hidden.weight"),
    "unseeded_split": ("another_process_makes_the_same_batches", "are all draws seeded"),
    "noisy_batches": ("training_batches_are_full_and_the_same_for_the_same_seed", "not equal"),
    "columns_beside_rows": (
        "a_gradient_step_lowers_the_loss_on_its_own_batch",
        r"labels and logits of one shape, got labels \(8,\) and logits \(8, 1\)",
    ),
}


@pytest.fixture(scope="module")
def _folders(tmp_path_factory):
    """The documented workload and its copies with a mistake, as workloads of this process and those it starts."""
    root = tmp_path_factory.mktemp("workloads")
    documented.write(root)
    for mistake in documented.MISTAKES.iterdir():
        documented.write(root, mistake.name, mistake)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.MORE_ROOTS, str(root))
        yield


@pytest.mark.usefixtures("_folders")
@pytest.mark.parametrize("name", ["diabetes", "diabetes_tanh"])
def test_the_workload_of_the_documentation_conforms(data_dir, name):
    assert first_refusal(name, data_dir) is None


@pytest.mark.usefixtures("_folders")
@pytest.mark.parametrize("mistake", REFUSED)
def test_a_workload_with_a_mistake_is_refused_by_the_check_for_it(data_dir, mistake):
    name = mistake
    if mistake == "variant_differs":
        name = f"{mistake}_tanh"
    check, error = first_refusal(name, data_dir)
    expected, message = REFUSED[mistake]
    assert check == expected, error
    with pytest.raises(type(error), match=message):
        raise error


@pytest.mark.usefixtures("_folders")
def test_every_folder_with_a_mistake_is_tried_and_looks_right_from_outside():
    assert {path.name for path in documented.MISTAKES.iterdir() if path.name != "__pycache__"} == set(REFUSED)
    assert registry.broken() == {}


def test_the_documentation_shows_every_file_and_few_lines():
    files = documented.files()
    assert set(files) == {
        "workload.py",
        "data.py",
        "model_jax.py",
        "model_torch.py",
        "weights.py",
        "README.md",
    }
    assert sum(len(text.splitlines()) for text in files.values()) < 250
