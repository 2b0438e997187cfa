"""Jobs of preparation in worker processes."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from tqdm import tqdm


def run_jobs(
    function: Callable[..., int],
    jobs: Sequence[tuple[Any, ...]],
    bar: tqdm,
    in_processes: bool,
    num_processes: int | None = None,
) -> None:
    """Calls `function` with the arguments of each job; an error ends the others that have not begun.

    Args:
      function: of a module, as are all arguments; returns by how much the bar goes on.
      jobs: arguments of each call.
      bar: progress.
      in_processes: several at a time, each in a process; otherwise one after the other, here. To start a process takes
        seconds, so that little work is sooner done without.
      num_processes: as many at a time; one per processor by default.
    """
    if not in_processes:
        for job in jobs:
            bar.update(function(*job))
        return
    # 'spawn': the caller may already run JAX or PyTorch threads, which do not survive a fork.
    with ProcessPoolExecutor(num_processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(function, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                bar.update(future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
