"""SOAP beyond the single kernel of test_update_rules.py: views of parameters, bases, several tensors of one shape."""

import functools

import numpy as np
import pytest
from linear_workload import POINTS, load

from algoperf.spec import ParameterType
from reference_algorithms.soap.self_tuning import MAX_AXIS_SIZE

pytestmark = pytest.mark.filterwarnings("error")
H = POINTS["soap"]
BETAS = (1 - H.one_minus_beta1, H.beta2)
FREQUENCY = H.precondition_frequency

# What a layer is, its shape in JAX, name and shape in PyTorch, and the axes of the tensors that both make of it.
LAYERS = {
    "dense": ("WEIGHT", (8, 6), "weight", (6, 8), (6, 8)),
    "convolution": ("CONV_WEIGHT", (3, 5, 8, 6), "conv", (6, 8, 3, 5), (3, 5, 6, 8)),
    "depthwise convolution": ("CONV_WEIGHT", (5, 1, 8), "conv", (8, 1, 5), (5, 8)),
    "convolution of points": ("CONV_WEIGHT", (1, 1, 8, 6), "conv", (6, 8, 1, 1), (6, 8)),
    "embedding": ("EMBEDDING", (9, 8), "embedding", (9, 8), (8, 9)),
    "query": ("ATTENTION_Q", (8, 2, 3), "q_proj", (6, 8), (6, 8)),
    "attention's output": ("ATTENTION_OUT", (2, 3, 8), "out", (8, 6), (6, 8)),
    "gate": ("WEIGHT", (8, 6), "weight_ih", (24, 8), (6, 8)),
    "norm of an image": ("BATCH_NORM_SCALE", (1, 1, 6), "bn", (6, 1, 1), (6,)),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_both_frameworks_rotate_the_same_tensors_up_to_the_order_of_axes(layer):
    torch = pytest.importorskip("torch")
    param_type, jax_shape, name, torch_shape, expected = LAYERS[layer]
    param_type = ParameterType[param_type]
    in_torch = load("soap", "torch").view(name, torch.zeros(torch_shape), param_type)
    in_jax = load("soap", "jax").view(np.zeros(jax_shape), param_type).shape_tuple
    assert tuple(sorted(in_jax)) == tuple(sorted(in_torch)) == expected


@pytest.mark.parametrize(("param_type", "parts"), [("ATTENTION_QKV", 3), ("ATTENTION_KV", 2)])
def test_projections_in_one_parameter_are_tensors_of_their_own(param_type, parts):
    torch = pytest.importorskip("torch")
    param = torch.zeros(6 * parts, 8)
    assert load("soap", "torch").view("in_proj", param, ParameterType[param_type]) == (6, 8)


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_biases_per_head_are_vectors(framework):
    np_or_torch = pytest.importorskip("torch") if framework == "torch" else np
    module, bias = load("soap", framework), np_or_torch.zeros((2, 3))
    arguments = (bias, ParameterType.ATTENTION_BIAS)
    found = module.view("bias", *arguments) if framework == "torch" else module.view(*arguments).shape_tuple
    assert found == (6,)


def numpy(array):
    return np.asarray(array) if hasattr(array, "devices") else array.numpy()


def gradients(shape, num_steps):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for _ in range(num_steps)]


@functools.cache
def jax_rule(*shapes):
    module = load("soap", "jax")
    import jax

    soap = module.scale_by_soap(*BETAS, frequency=FREQUENCY, shapes=shapes)
    return soap.init, jax.jit(soap.update)


def jax_directions(grads, shapes):
    """What `scale_by_soap` makes of a sequence of lists of gradients, and its last state."""
    init, update = jax_rule(*shapes)
    state, found = init(grads[0]), []
    for grad in grads:
        directions, state = update(grad, state)
        found.append([np.array(direction) for direction in directions])
    return found, state


def torch_directions(grads, shape):
    """The same of Soap, whose parameters start at 0 and stand on minus the last direction after each update."""
    torch = pytest.importorskip("torch")
    params = [torch.nn.Parameter(torch.zeros(grad.shape)) for grad in grads[0]]
    optimizer = load("soap", "torch").Soap(
        [{"params": params, "shape": shape}],
        lr=1.0,
        betas=BETAS,
        eps=1e-8,
        frequency=FREQUENCY,
        weight_decay=1.0,
    )
    found = []
    for step in grads:
        for param, grad in zip(params, step, strict=True):
            param.grad = torch.from_numpy(np.ascontiguousarray(grad))
        optimizer.step()
        found.append([-param.detach().numpy().copy() for param in params])
    return found, optimizer.state[params[0]]


def test_a_convolution_takes_the_same_steps_in_both_layouts_through_three_refreshes():
    grads = gradients((3, 4, 5), 3 * FREQUENCY + 2)
    in_jax, state = jax_directions([[grad] for grad in grads], [(3, 4, 5)])
    in_torch, _ = torch_directions([[grad.transpose(2, 1, 0)] for grad in grads], (5, 4, 3))
    assert [basis.shape for basis in state.stacks[0].bases] == [(1, n, n) for n in (3, 4, 5)]
    for (ours,), (theirs,) in zip(in_jax, in_torch, strict=True):
        np.testing.assert_allclose(ours, theirs.transpose(2, 1, 0), rtol=0, atol=1e-4)
    assert np.abs(in_jax[-1][0]).max() > 0.1


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_tensors_of_one_shape_go_together_and_know_nothing_of_each_other(framework):
    grads = [[-grad, 2 * grad[::-1]] for grad in gradients((4, 4), 2 * FREQUENCY)]

    def directions(steps):
        return (
            jax_directions(steps, [(4, 4)] * len(steps[0]))
            if framework == "jax"
            else torch_directions(steps, (4, 4))
        )

    together, _ = directions(grads)
    for i in (0, 1):
        alone, _ = directions([[step[i]] for step in grads])
        np.testing.assert_allclose(
            [step[i] for step in together], [step[0] for step in alone], rtol=0, atol=1e-5
        )


def test_gates_and_projections_in_one_parameter_take_the_steps_of_separate_ones():
    grads = [list(grad) for grad in gradients((3, 4, 4), FREQUENCY + 2)]
    apart, _ = torch_directions(grads, (4, 4))
    in_one, _ = torch_directions([[np.concatenate(step)] for step in grads], (4, 4))
    for separate, (whole,) in zip(apart, in_one, strict=True):
        np.testing.assert_array_equal(np.concatenate(separate), whole)


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_the_first_gradient_only_starts_bases_which_stay_orthogonal_and_sorted(framework):
    # Rows of very different size, the smallest first: eigenvalues have an order that the basis must find.
    scale = np.array([[0.01], [0.1], [1.0]], np.float32)
    grads = [[scale * grad] for grad in gradients((3, 8), 2 * FREQUENCY + 1)]
    directions, state = (
        jax_directions(grads, [(3, 8)]) if framework == "jax" else torch_directions(grads, (3, 8))
    )
    assert not directions[0][0].any()
    assert directions[1][0].all()
    fields = state.stacks[0]._asdict() if framework == "jax" else state
    basis, statistic = numpy(fields["bases"][0])[0], numpy(fields["statistics"][0])[0]
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(np.abs(basis), np.eye(3)[::-1], atol=0.1)
    eigenvalues = np.diag(basis.T @ statistic @ basis)
    assert (np.diff(eigenvalues) < 0).all()


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_refresh_sorts_second_moments_with_their_columns_and_signs_do_not_matter(framework):
    library = pytest.importorskip(framework)
    module = load("soap", framework)
    array = library.numpy.asarray if framework == "jax" else library.tensor
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 3))
    statistic = (root @ root.T).astype(np.float32)
    basis = np.linalg.eigh(statistic)[1][:, ::-1]
    second = rng.uniform(size=(3, 5000)).astype(np.float32)  # The second axis is too long for a basis.

    def refreshed(basis, second):
        parts = {"statistics": [array(statistic[None])], "bases": [array(basis[None].copy())]}
        parts["exp_avg_sq"] = array(second[None].copy())
        if framework == "jax":
            after, bases = module.refreshed_one(module.Stack(exp_avg=parts["exp_avg_sq"], **parts))
        else:
            module.refresh(parts, (0,))
            after, bases = parts["exp_avg_sq"], parts["bases"]
        return numpy(after)[0], numpy(bases[0])[0]

    after, bases = refreshed(basis, second)
    np.testing.assert_array_equal(after, second)  # Sorted already.
    order = [2, 0, 1]
    shuffled = basis[:, order] * np.array([1, -1, 1], np.float32)
    after_shuffled, bases_shuffled = refreshed(shuffled, second[order])
    np.testing.assert_array_equal(after_shuffled, second)
    np.testing.assert_allclose(np.abs(bases_shuffled), np.abs(bases), atol=1e-5)


def test_an_axis_that_is_too_long_has_no_basis_in_either_framework():
    shape = (2, MAX_AXIS_SIZE + 1)
    grads = [[grad] for grad in gradients(shape, 8)]
    in_jax, jax_state = jax_directions(grads, [shape])
    in_torch, torch_state = torch_directions(grads, shape)
    assert [basis.shape for basis in jax_state.stacks[0].bases] == [(1, 2, 2)]
    assert [basis.shape for basis in torch_state["bases"]] == [(1, 2, 2)]
    np.testing.assert_allclose(in_jax[-1][0], in_torch[-1][0], rtol=0, atol=1e-3)


def test_a_vector_and_a_matrix_that_is_too_long_on_both_sides_follow_adam():
    from reference_algorithms.soap.self_tuning import rotated_axes

    assert (
        rotated_axes((7,)) == rotated_axes(()) == rotated_axes((MAX_AXIS_SIZE + 1, MAX_AXIS_SIZE + 1)) == ()
    )
    assert rotated_axes((MAX_AXIS_SIZE, MAX_AXIS_SIZE + 1)) == (0,)
