"""Where independent pieces of work run: here, in processes of this machine, or on a Dask cluster (joblib)."""

import contextlib
from collections.abc import Iterator

from neuroloom.errors import DataError, MissingDependency


@contextlib.contextmanager
def workers(n_jobs: int = 1, *, dask: str | None = None) -> Iterator[None]:
    """Within this block, ``joblib.Parallel()`` uses these workers.

    Parameters
    ----------
    n_jobs
        Processes on this machine; -1 for all cores. Not used with `dask`.
    dask
        Address of a Dask scheduler such as ``tcp://10.0.0.1:8786``; its workers must have neuroloom and
        see the same files.

    Raises
    ------
    MissingDependency
        If ``distributed`` is not installed.
    DataError
        If `n_jobs` is 0, or no scheduler answers at the address.
    """
    from joblib import parallel_config

    if dask is None:
        if n_jobs == 0 or n_jobs < -1:
            raise DataError(
                f"{n_jobs} jobs", expected="a positive number, or -1 for all cores", remedy="pass --jobs 2"
            )
        with parallel_config(n_jobs=n_jobs):
            yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise MissingDependency(
            "distributed is not installed",
            expected="the client of a Dask cluster",
            remedy="pip install 'neuroloom[dask]', or leave --dask out and use --jobs",
        ) from None
    try:
        client = Client(dask, timeout=20)
    except (OSError, ValueError) as error:
        raise DataError(
            f"no Dask scheduler answers at {dask} ({type(error).__name__})",
            expected="the address that `dask scheduler` printed, such as tcp://10.0.0.1:8786",
            remedy="start the scheduler and its workers, or leave --dask out and use --jobs",
        ) from None
    with client, parallel_config("dask", n_jobs=-1, wait_for_workers_timeout=30):
        yield
