"""Benchmarks and examples are run by hand, seldom: each must at least start and say what it does."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CALLED_BY_OTHERS = {"sorting_child.py"}
# All in one process, which imports what they share once.
HELP = """
import runpy, sys
for path in sys.argv[1:]:
    sys.argv, sys.path[0] = [path, "--help"], path.rpartition("/")[0]
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        assert not end.code, path
    else:
        raise AssertionError(f"{path} did not answer --help")
"""


def programs() -> list[Path]:
    scripts = [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("examples/*.py")]
    return sorted(s for s in scripts if '"__main__"' in s.read_text() and s.name not in CALLED_BY_OTHERS)


def test_every_benchmark_and_example_says_what_it_does():
    assert len(programs()) > 20
    ended = subprocess.run(
        [sys.executable, "-c", HELP, *map(str, programs())], capture_output=True, text=True, timeout=240
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("usage: ") == len(programs())


def test_make_bench_runs_programs():
    recipe = (ROOT / "Makefile").read_text()
    named = recipe.split("BENCHES :=")[1].split("\n\n")[0].replace("\\", " ").split()
    missing = {f"{name}.py" for name in named} - {path.name for path in programs()}
    assert named
    assert not missing
