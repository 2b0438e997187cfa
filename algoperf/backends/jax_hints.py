"""What stands behind errors of JAX that name no argument: for the summary of a trial that failed."""

from collections.abc import Mapping

import jax

DELETED = ("has been deleted", "deleted or donated")
SHAPES = (
    "incompatible shapes",
    "must be equal shapes",
    "dot_general requires",
    "tree structure",
    "key mismatch",
)


def explain(error: BaseException, arguments: Mapping[str, object]) -> str | None:
    """A sentence or two about an error of a submission; None where there is nothing to add.

    Args:
      error: that left the submission.
      arguments: name -> tree, of what `update_params` was given.
    """
    text = str(error)
    if any(words in text for words in DELETED):
        found = {name: _deleted(tree) for name, tree in arguments.items()}
        gone = ", ".join(
            f"{name} ({gone} of {total} arrays)" for name, (gone, total) in found.items() if gone
        )
        return (
            "An array was used again that a jitted function had taken over (donate_argnums). "
            + (
                f"Deleted by now: {gone}. "
                if gone
                else "None of the arguments is deleted: it was one that was kept. "
            )
            + "Keep nothing of an earlier step in a global or a closure, and return new arrays; or leave out "
            + "donate_argnums."
        )
    if any(words in text for words in SHAPES):
        return (
            f"Arrays of different shapes met. update_params was given {_shapes(arguments)}: state that was kept from "
            "another trial or workload, or returned in another order than (optimizer_state, params, model_state), does "
            "not fit."
        )
    return None


def _deleted(tree: object) -> tuple[int, int]:
    """(deleted, all) arrays of a tree."""
    arrays = [leaf for leaf in jax.tree_util.tree_leaves(tree) if isinstance(leaf, jax.Array)]
    return sum(array.is_deleted() for array in arrays), len(arrays)


def _shapes(arguments: Mapping[str, object], num_shown: int = 4) -> str:
    """The first shapes of each tree, for people."""
    parts = []
    for name, tree in arguments.items():
        shapes = [
            str(tuple(leaf.shape)) for leaf in jax.tree_util.tree_leaves(tree) if hasattr(leaf, "shape")
        ]
        more = ", …" if len(shapes) > num_shown else ""
        if shapes:
            parts.append(f"{name} with {', '.join(shapes[:num_shown])}{more}")
    return "; ".join(parts) or "no arrays"
