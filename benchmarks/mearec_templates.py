"""Make the templates of Bench B by MEArec itself: Blue Brain's thirteen L5 cells at a tetrode.

MEArec's own chain, its mechanisms mended for NEURON 9 (`neuroloom.simulation.blue_brain`). Needed are
LFPy besides the extra [biophysics] (``pip install --no-deps LFPy==2.3.7``), a C++ compiler, and ten minutes
of one core. The cells, and so the file, are licensed CC-BY-NC-SA-4.0: keep it out of the repository.

    python benchmarks/mearec_templates.py --out mearec_templates.h5
    python benchmarks/sorting.py --bench mearec-tetrode --mearec-templates mearec_templates.h5
"""

import argparse
import contextlib
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from neuroloom.errors import MissingDependency
from neuroloom.simulation.blue_brain_models import cell_models, compile_mechanisms

PROBE = "tetrode-mea-s"  # 2 x 2 contacts, 16 um apart


def make_templates(out: Path, *, probe: str, per_cell: int, seed: int, work: Path) -> None:
    """Write MEArec's file of templates.

    Parameters
    ----------
    out
        An ``.h5`` file.
    probe
        One of MEAutility's.
    per_cell
        Placements of each of the thirteen cells.
    seed
        Of the placements.
    work
        Folder for the compiled cells and what MEArec leaves between its steps.
    """
    if find_spec("LFPy") is None:
        raise MissingDependency(
            "LFPy is not installed",
            expected="what MEArec simulates cells by",
            remedy="pip install --no-deps LFPy==2.3.7",
        )
    import MEArec

    cells = work / "cells"
    for name, folder in cell_models().items():
        if not (cells / name).exists():
            shutil.copytree(folder, cells / name)
    compile_mechanisms(cells / "mods")  # where MEArec looks for them
    params: dict[str, Any] = MEArec.get_default_templates_params()
    params |= {"probe": probe, "n": per_cell, "seed": seed}
    os.environ.setdefault("NEURON_MODULE_OPTIONS", "-nogui")
    with contextlib.chdir(work):  # MEArec writes its parameters into the working folder
        # With two jobs on joblib's sequential backend, every cell has a process of its own, one by one.
        made = MEArec.gen_templates(
            cell_models_folder=str(cells),
            params=params,
            templates_tmp_folder=str(work / "templates"),
            parallel=True,
            n_jobs=2,
            joblib_backend="sequential",
            verbose=False,
        )
    draft = out.with_name(f".{out.stem}.draft.h5")
    MEArec.save_template_generator(made, str(draft), verbose=False)
    draft.replace(out)
    print(f"wrote {out}: {len(made.templates)} templates of {len(set(made.celltypes))} cells")


def main() -> None:
    """Parse arguments and make the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--probe", default=PROBE, help="a name of MEAutility, such as tetrode (of wires)")
    parser.add_argument("--per-cell", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="keep what is between here; by default it is removed")
    args = parser.parse_args()
    out = args.out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        work = (
            Path(stack.enter_context(tempfile.TemporaryDirectory()))
            if args.work is None
            else args.work.resolve()
        )
        work.mkdir(parents=True, exist_ok=True)
        make_templates(out, probe=args.probe, per_cell=args.per_cell, seed=args.seed, work=work)


if __name__ == "__main__":
    main()
