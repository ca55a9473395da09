"""The one place that sets how many threads the numerical libraries use."""

import os


def set_threads(n_threads: int | None = None) -> int:
    """Give torch and the BLAS libraries `n_threads` threads each and return the number.

    Parameters
    ----------
    n_threads
        ``None`` takes ``NEUROLOOM_THREADS`` from the environment, else every core this process may use.
    """
    import threadpoolctl
    import torch

    if n_threads is None:
        # Not every system can say which cores this process may use.
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        n_threads = int(os.environ.get("NEUROLOOM_THREADS", 0)) or usable
    torch.set_num_threads(n_threads)
    threadpoolctl.threadpool_limits(n_threads)
    return n_threads


def let_waiting_threads_sleep() -> None:
    """Have OpenMP threads that wait for others give up their core; call it before torch is loaded.

    By default they spin. On a machine that others use as well, one thread then waits for another that has no
    core because the first one is spinning on it: small layers became four to eight times slower there. On an
    idle machine sleeping costs them a fifth at most. ``OMP_WAIT_POLICY`` in the environment has precedence.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
