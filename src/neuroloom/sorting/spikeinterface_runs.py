"""Run SpikeInterface quietly, repeatably, and without compiling the same code in every process."""

import contextlib
import gc
import io
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from neuroloom.seeds import derive

_LOCK = threading.RLock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep SpikeInterface's prints off the standard output, and its warnings to itself.

    They concern its own insides (deprecated calls, files left to the garbage collector, compilation);
    what is wrong with the data is told by `neuroloom.sorting.checks` before.
    """
    from spikeinterface.core.globals import get_global_job_kwargs, set_global_job_kwargs

    # Steps that are not told otherwise take these; their default shows progress bars.
    jobs = dict(get_global_job_kwargs())
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        set_global_job_kwargs(n_jobs=1, progress_bar=False)
        # Its writers collect garbage after every chunk, which takes .6 s where torch and numba are loaded.
        gc.freeze()
        try:
            yield
        finally:
            gc.unfreeze()
            set_global_job_kwargs(**jobs)


@contextlib.contextmanager
def repeatable(seed: int, *names: str | int) -> Iterator[None]:
    """Make NumPy generators that are asked for without a seed, and the global one, start from `seed`.

    SpikeInterface's sorters pass their seed on to most of their steps, not to all (peak selection and
    the removal of duplicates draw freely), so identical calls give different units without this.
    """
    with _LOCK:
        first_seed = seed
        real, state, n_made = np.random.default_rng, np.random.get_state(), 0  # noqa: NPY002

        def default_rng(seed: Any = None) -> np.random.Generator:
            nonlocal n_made
            n_made += seed is None
            return real(derive(first_seed, *names, n_made) if seed is None else seed)

        np.random.seed(derive(seed, *names, "global") % 2**32)  # noqa: NPY002
        np.random.default_rng = default_rng
        try:
            yield
        finally:
            np.random.default_rng = real
            np.random.set_state(state)  # noqa: NPY002


def keep_compiled() -> None:
    """Let numba keep the machine code of the slow starters on disk.

    They compile for a minute in every new process otherwise.
    """
    from numba.core.dispatcher import Dispatcher
    from spikeinterface.comparison import comparisontools
    from spikeinterface.core import sorting_tools
    from spikeinterface.curation import auto_merge
    from spikeinterface.postprocessing import correlograms, isi, template_similarity
    from spikeinterface.sortingcomponents.clustering import isosplit_isocut
    from spikeinterface.sortingcomponents.peak_detection import locally_exclusive, matched_filtering

    modules = (
        comparisontools, sorting_tools, auto_merge, correlograms, isi, template_similarity, isosplit_isocut,
        locally_exclusive, matched_filtering,
    )  # fmt: skip
    for module in modules:
        for item in vars(module).values():
            # No folder may be writable; then every process compiles, as without this.
            with contextlib.suppress(RuntimeError):
                if isinstance(item, Dispatcher) and item.stats.cache_path is None:
                    item.enable_caching()
