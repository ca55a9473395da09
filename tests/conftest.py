"""Fixtures that every room's tests may use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from neuroloom.threads import let_waiting_threads_sleep

# Shared machines stall for seconds at a time; a deadline would test the machine, not the code.
settings.register_profile("default", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("default")


def pytest_configure(config):
    # One thread: results and timings then do not depend on how many cores the machine has.
    os.environ.setdefault("NEUROLOOM_THREADS", "1")
    let_waiting_threads_sleep()
    os.environ.setdefault("MPLBACKEND", "agg")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings; they are not part of the repository."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("NEUROLOOM_SHARED", root.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"the real recordings are not here ({folder}); set NEUROLOOM_SHARED to their parent")
    return folder
