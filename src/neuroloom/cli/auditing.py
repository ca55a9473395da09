"""Verbs about the audit: images, arrays, decoder."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neuroloom.cli import console

if TYPE_CHECKING:
    import numpy as np

    from neuroloom.auditing.results import AuditCurve


@dataclass(frozen=True, kw_only=True)
class AuditImages:
    """How much of the brain is needed to predict the images that were shown."""

    responses: Path
    """A .npy array (stimuli, units)."""
    images: Path
    """A zip or folder of images in the order of their names, or a .npy array."""
    out: Path
    """Folder for the curve, its figure and table."""
    units_first: bool = False
    """The responses are (units, stimuli)."""
    size_px: int = 16
    """Images are shrunk to squares of this side."""
    colour: bool = False
    """Predict colours; else luminance."""
    groups: Path | None = None
    """A .npy array (stimuli,): stimuli with equal values stay together in splits."""
    sizes: tuple[int, ...] | None = None
    """Bottleneck sizes; default 1, 2, 5, 10, .."""
    test_fraction: float | None = None
    """Share of the stimuli to hold out once; default is cross-validation."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        from neuroloom.auditing.curve import audit
        from neuroloom.auditing.image_files import load_images

        responses = read_array(self.responses)
        curve = audit(
            responses.T if self.units_first else responses,
            load_images(self.images, size_px=self.size_px, colour=self.colour),
            sizes=self.sizes,
            groups=None if self.groups is None else read_array(self.groups),
            test_fraction=self.test_fraction,
            seed=self.seed,
        )
        finish(curve, self.out)


@dataclass(frozen=True, kw_only=True)
class AuditArrays:
    """How much of the brain is needed to predict any targets: an embedding, a behaviour, pixels."""

    responses: Path
    """A .npy array (stimuli, units)."""
    targets: Path
    """A .npy array (stimuli, targets)."""
    out: Path
    """Folder for the curve, its figure and table."""
    groups: Path | None = None
    """A .npy array (stimuli,): stimuli with equal values stay together in splits."""
    sizes: tuple[int, ...] | None = None
    """Bottleneck sizes; default 1, 2, 5, 10, .."""
    test_fraction: float | None = None
    """Share of the stimuli to hold out once; default is cross-validation."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        from neuroloom.auditing.curve import audit

        curve = audit(
            read_array(self.responses),
            read_array(self.targets),
            sizes=self.sizes,
            groups=None if self.groups is None else read_array(self.groups),
            test_fraction=self.test_fraction,
            seed=self.seed,
        )
        finish(curve, self.out)


@dataclass(frozen=True, kw_only=True)
class AuditDecoder:
    """How few dimensions of the population a decoder needs, and what it scores without a brain."""

    session: tuple[Path, ...]
    """Session folders or NWB files."""
    target: str
    """A behaviour or a trial label."""
    out: Path
    """Folder for the curve, its figure and table."""
    model: str = "wiener"
    """Decoder."""
    sizes: tuple[int, ...] | None = None
    """Bottleneck sizes; default 1, 2, 5, 10, .."""
    test_fraction: float = 0.2
    """The last part of each session, on which decoders are scored."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        from neuroloom.auditing.decoders import audit_decoder
        from neuroloom.cli.decoding import read_sessions
        from neuroloom.decoding.evaluation import make_decoder

        sessions = read_sessions(self.session, target=self.target)
        curve = audit_decoder(
            lambda: make_decoder(self.model, self.target, seed=self.seed),
            sessions,
            self.sizes,
            test_fraction=self.test_fraction,
            seed=self.seed,
        )
        finish(curve, self.out)


def read_array(path: Path) -> "np.ndarray":
    """Return the array of a ``.npy`` file.

    Raises
    ------
    MissingFile, DataError
        If it is absent, or not a plain array.
    """
    import numpy as np

    from neuroloom.errors import DataError, MissingFile

    if not path.is_file():
        raise MissingFile(f"{path} does not exist", expected="a .npy file", remedy="check the path")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(
            f"{path} cannot be read ({error})",
            expected="a .npy array without objects",
            remedy="save it again",
        ) from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} holds several arrays", expected="one", remedy="save it with numpy.save")
    return array


def finish(curve: "AuditCurve", out: Path) -> None:
    """Write a curve with its page and table, and print its summary."""
    from neuroloom.pipeline.pages import write_audit_page

    curve.save(out)
    page, table = write_audit_page(curve, out.with_name(out.name + ".report"))
    summary = curve.summary()
    console.show_findings(curve.findings)
    console.show_table(list(summary.columns), summary.itertuples(index=False))
    console.wrote(out, "the curve: neuroloom.auditing.curve.AuditCurve.load reads it")
    console.wrote(page, "the report: open it in a browser")
    console.wrote(table, "every score with its interval")
