"""What is built holds everything that a program needs to run, and nothing else."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the source archive; built from what is installed, without a network."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    [path] = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def in_source() -> set[str]:
    folder = ROOT / "src" / "neuroloom"
    files = {path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    return {f"neuroloom/{path.relative_to(folder).as_posix()}" for path in files}


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert names == in_source()


@pytest.mark.slow
def test_the_wheel_holds_weights_cells_and_templates(wheel):
    names = wheel.namelist()
    for needed in (
        "neuroloom/sorting/weights/extractor/arrays.safetensors",
        "neuroloom/sorting/weights/detector/arrays.safetensors",
        "neuroloom/decoding/weights/poyo-reaching-small/arrays.safetensors",
        "neuroloom/simulation/default_cells/arrays.safetensors",
        "neuroloom/reporting/templates/page.html.j2",
        "neuroloom/reporting/templates/page.css",
        "neuroloom/py.typed",
    ):
        assert needed in names


@pytest.mark.slow
def test_the_wheel_says_how_to_start_it_and_its_licence(wheel):
    [about] = [name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt")]
    assert "neuroloom = neuroloom.cli:main" in wheel.read(about).decode()
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())


@pytest.mark.slow
def test_neither_archive_is_large_or_holds_real_data_or_what_runs_leave(built):
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        parts = {part for name in archive.getnames() for part in name.split("/")}
    assert not parts & {"shared", "_build", "generated", ".venv", "dist", "demo", "__pycache__"}
    assert {"src", "tests", "docs", "benchmarks"} <= parts
    assert all(archive.stat().st_size < 40e6 for archive in built.iterdir())
