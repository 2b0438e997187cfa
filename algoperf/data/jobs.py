"""Runs the jobs of data preparation, in worker processes where that pays."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from tqdm import tqdm

from algoperf.data.bad_files import Search


def run_jobs(
    function: Callable[..., int],
    jobs: Sequence[tuple[Any, ...]],
    bar: tqdm,
    in_processes: bool,
    num_processes: int | None = None,
) -> None:
    """Calls `function` with the arguments of each job; after an error, jobs that have not started are cancelled.

    What a job says of its files (UsageError) is such an error only after all jobs: see `bad_files`.

    Args:
      function: importable from a module and, like its arguments, picklable; returns by how much the bar advances.
      jobs: arguments of each call.
      bar: the progress bar.
      in_processes: whether a pool of processes is used; otherwise jobs run one after the other in this process. A
        process takes seconds to start, so small amounts of work finish earlier without a pool.
      num_processes: size of the pool; one per processor by default.
    """
    search = Search()
    if not in_processes:
        for job in jobs:
            with search.going_on():
                bar.update(function(*job))
        search.end()
        return
    # 'spawn': the caller may already run JAX or PyTorch threads, which do not survive a fork.
    with ProcessPoolExecutor(num_processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(function, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                with search.going_on():
                    bar.update(future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    search.end()
