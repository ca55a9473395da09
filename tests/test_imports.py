"""Data flows in one direction, and so do imports; what is heavy is imported where it is used."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import neuroloom

PACKAGE = Path(neuroloom.__file__).parent
GROUND_FLOOR = {"errors", "seeds", "findings", "threads", "workplaces"}
GROUND_FLOOR |= {"fingerprints", "manifests", "artifacts", "numpy_files"}
# Left to right; a room may import what stands on its left.
ROOMS = [
    "simulation",
    "sorting",
    "sessions",
    "decoding",
    "dynamics",
    "auditing",
    "reporting",
    "pipeline",
    "cli",
]
ALLOWED = {room: set(ROOMS[: ROOMS.index(room) + 1]) | GROUND_FLOOR | {"training"} for room in ROOMS}
ALLOWED["training"] = GROUND_FLOOR | {"training", "sessions"}
ALLOWED |= dict.fromkeys(GROUND_FLOOR, GROUND_FLOOR)
HEAVY = {
    "torch",
    "spikeinterface",
    "pynapple",
    "matplotlib",
    "pandas",
    "scipy",
    "sklearn",
    "pynwb",
    "neuroconv",
}


def rooms_imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("neuroloom.")}
    return found - {"__version__"}


def source_files() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_from_its_left(path: Path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert rooms_imported(path) <= ALLOWED[room]


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_relative_imports_hide_a_direction(path: Path):
    levels = [
        node.level for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
    ]
    assert not any(levels)


def best_seconds(*command: str, tries: int = 5) -> float:
    """Return the shortest user + system time of a command: the least disturbed by other work."""
    seconds = []
    for _ in range(tries):
        before = os.times()
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        seconds.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    return min(seconds)


def test_importing_the_package_takes_less_than_three_tenths_of_a_second():
    bare = best_seconds(sys.executable, "-c", "pass")
    assert best_seconds(sys.executable, "-c", "import neuroloom") - bare < 0.3


def test_help_takes_less_than_a_second():
    assert best_seconds(sys.executable, "-m", "neuroloom.cli", "--help") < 1.0


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, neuroloom; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert not HEAVY & set(loaded.split())


def test_help_loads_nothing_heavy():
    code = (
        "import contextlib, io, sys\n"
        "from neuroloom.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "tyro" in loaded.split()
    assert not (HEAVY | {"numpy"}) & set(loaded.split())


def test_every_public_name_can_be_imported():
    for name in neuroloom.__all__:
        assert getattr(neuroloom, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        neuroloom.nonsense  # noqa: B018
