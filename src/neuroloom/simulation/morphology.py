"""Branching shapes of neurons: read from SWC files, rescaled, pruned, given a fresh axon."""

import os
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from neuroloom.errors import DataError, MissingDependency, MissingFile

SOMA, AXON, DENDRITE, APICAL = 1, 2, 3, 4
REGIONS = {"soma": SOMA, "axon": AXON, "dend": DENDRITE, "apic": APICAL}


@dataclass(frozen=True)
class Morphology:
    """A tree of tapered cylinders, parents before children.

    Attributes
    ----------
    start_um, end_um
        Ends of each segment, shape ``(segments, 3)``; the soma lies at the origin.
    start_radius_um, end_radius_um
        Radii at both ends, shape ``(segments,)``.
    parent
        Index of the parent segment, -1 for a root, shape ``(segments,)``.
    region
        1 soma, 2 axon, 3 basal dendrite, 4 apical dendrite, shape ``(segments,)``.
    """

    start_um: np.ndarray
    end_um: np.ndarray
    start_radius_um: np.ndarray
    end_radius_um: np.ndarray
    parent: np.ndarray
    region: np.ndarray

    def __len__(self) -> int:
        return len(self.parent)

    def __repr__(self) -> str:
        counts = {name: int((self.region == code).sum()) for name, code in REGIONS.items()}
        return f"Morphology({len(self)} segments: {counts})"

    def scaled(self, length_factor: float, *, radius_factor: float = 1.0) -> "Morphology":
        """Return the same tree with all positions and all radii multiplied."""
        return replace(
            self,
            start_um=self.start_um * length_factor,
            end_um=self.end_um * length_factor,
            start_radius_um=self.start_radius_um * radius_factor,
            end_radius_um=self.end_radius_um * radius_factor,
        )

    def pruned(self, fraction: float, *, random: np.random.Generator) -> "Morphology":
        """Cut random side branches until at least `fraction` of the segments is gone (the soma stays)."""
        keep = np.ones(len(self), dtype=bool)
        n_children = np.bincount(self.parent[self.parent >= 0], minlength=len(self))
        forks = np.flatnonzero((self.parent >= 0) & (n_children[self.parent] > 1) & (self.region != SOMA))
        for first in random.permutation(forks):
            if (~keep).mean() >= fraction:
                break
            cut = np.zeros(len(self), dtype=bool)
            cut[first] = True
            for index in range(first + 1, len(self)):
                cut[index] = self.parent[index] >= 0 and cut[self.parent[index]]
            if (keep & ~cut).mean() > 0.2:
                keep &= ~cut
        return self._subset(keep)

    def with_axon(
        self, *, initial_um: float = 40.0, tail_um: float = 200.0, diameter_um: float = 1.2
    ) -> "Morphology":
        """Replace the axon by a straight initial segment and tail, leaving the soma away from the dendrites.

        Reconstructed axons are incomplete, and where spikes start shapes them most; a known axon is
        better than a torn one.
        """
        tree = self._subset(self.region != AXON)
        apical = tree.end_um[tree.region == APICAL]
        away = -apical.mean(axis=0) if len(apical) else np.array([0.0, -1.0, 0.0])
        away /= np.linalg.norm(away)
        root = int(np.flatnonzero(tree.region == SOMA)[0])
        soma_radius = float(tree.start_radius_um[root])
        marks = np.concatenate(
            [
                soma_radius + np.linspace(0, initial_um, 5),
                soma_radius + initial_um + np.linspace(20, tail_um, 6),
            ]
        )
        radii = np.concatenate([np.linspace(1.0, 0.6, 5), np.full(6, 0.5)]) * diameter_um / 2
        n = len(marks) - 1
        return Morphology(
            start_um=np.vstack([tree.start_um, marks[:-1, None] * away]),
            end_um=np.vstack([tree.end_um, marks[1:, None] * away]),
            start_radius_um=np.concatenate([tree.start_radius_um, radii[:-1]]),
            end_radius_um=np.concatenate([tree.end_radius_um, radii[1:]]),
            parent=np.concatenate([tree.parent, [root], len(tree) + np.arange(n - 1)]).astype(int),
            region=np.concatenate([tree.region, np.full(n, AXON)]),
        )

    def _subset(self, keep: np.ndarray) -> "Morphology":
        new_index = np.cumsum(keep) - 1
        parent = np.where(self.parent[keep] >= 0, new_index[self.parent[keep]], -1)
        return Morphology(
            self.start_um[keep],
            self.end_um[keep],
            self.start_radius_um[keep],
            self.end_radius_um[keep],
            parent,
            self.region[keep],
        )


def read_swc(path: str | os.PathLike) -> Morphology:
    """Read an SWC file whose first sample is the soma.

    The soma becomes one cylinder of the sample's radius and twice that length. Branches that leave the
    soma start at its centre, so that none hangs loose.

    Raises
    ------
    MissingFile
        If the file does not exist.
    DataError
        If it is not an SWC file, or its first sample is not a soma.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFile(f"{path} does not exist", expected="an SWC file", remedy="check the path")
    try:
        samples = np.loadtxt(path, comments="#", ndmin=2)
        index, kind, radius, parent = (samples[:, column] for column in (0, 1, 5, 6))
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{path} cannot be read ({error})", expected="seven numbers per line", remedy="check the file"
        ) from None
    if not len(samples) or kind[0] != SOMA or parent[0] != -1:
        raise DataError(
            f"{path} does not start with a soma",
            expected="sample type 1 with parent -1 first",
            remedy="reorder the samples",
        )
    position = samples[:, 2:5] - samples[0, 2:5]
    row = {int(number): i for i, number in enumerate(index)}
    soma_radius = float(radius[0])
    starts, ends, start_radii, end_radii, parents, regions = [], [], [], [], [], []
    axis = np.array([0.0, soma_radius, 0.0])
    segment_of = {0: 0}

    def append(start, end, start_radius, end_radius, parent_segment, region):
        starts.append(start)
        ends.append(end)
        start_radii.append(start_radius)
        end_radii.append(end_radius)
        parents.append(parent_segment)
        regions.append(region)

    append(-axis, axis, soma_radius, soma_radius, -1, SOMA)
    for i in range(1, len(samples)):
        if int(parent[i]) < 0 or kind[i] == SOMA:
            segment_of[i] = 0
            continue
        above = row[int(parent[i])]
        from_soma = segment_of[above] == 0
        region = int(kind[i]) if int(kind[i]) in (AXON, DENDRITE, APICAL) else DENDRITE
        start_radius = radius[i] if from_soma else radius[above]
        append(position[above], position[i], start_radius, radius[i], segment_of[above], region)
        segment_of[i] = len(parents) - 1
    return Morphology(
        np.array(starts),
        np.array(ends),
        np.array(start_radii),
        np.array(end_radii),
        np.array(parents),
        np.array(regions),
    )


def bundled_morphologies() -> dict[str, Path]:
    """Return name -> SWC file of the Allen Institute's mouse V1 neurons that come with ``bmtk`` (BSD).

    Raises
    ------
    MissingDependency
        If ``bmtk`` is not installed.
    """
    # bmtk itself is never imported: only its data files are read.
    found = find_spec("bmtk")
    if found is None or found.origin is None:
        raise MissingDependency(
            "bmtk is not installed",
            expected="the package that ships the default morphologies",
            remedy="pip install 'neuroloom[biophysics]'",
        )
    folder = Path(found.origin).parent / "utils" / "scripts" / "bionet" / "morphologies"
    return {path.stem.removesuffix("_m"): path for path in sorted(folder.glob("*.swc"))}
