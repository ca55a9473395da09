"""Verbs about the audit: images, text, arrays, decoder, and the generator that audits of images need."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neuroloom.cli import console

if TYPE_CHECKING:
    import numpy as np

    from neuroloom.auditing.results import AuditCurve


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """What all audits of stimuli share."""

    responses: Path
    """A .npy array (stimuli, units), or (stimuli, units, repeats) with NaN where a repeat is absent."""
    out: Path
    """Folder for the curve; its page goes beside it."""
    units_first: bool = False
    """The responses are (units, stimuli[, repeats])."""
    groups: Path | None = None
    """A .npy array (stimuli,): stimuli with equal values stay together in splits."""
    sizes: tuple[int, ...] | None = None
    """Bottleneck sizes; default 1, 2, 5, 10, .."""
    metrics: tuple[str, ...] | None = None
    """Names of metrics; default depends on the stimuli."""
    bottleneck: Literal["reduced-rank", "joint", "pca"] = "reduced-rank"
    """Which bottleneck; joint is the paper's, trained one size at a time."""
    restorations: tuple[Literal["train", "test"], ...] | None = None
    """Restore the variance of latents by that of training, or (transductive) by that of the test batch."""
    folds: int | None = None
    """Number of cross-validation folds."""
    test_fraction: float | None = None
    """Share of the stimuli to hold out once, in place of cross-validation."""
    draws: int = 3
    """Draws of noise and of wrong pairings."""
    seed: int = 0
    """Seed of all that is random."""

    def read_responses(self) -> "np.ndarray":
        """Return the responses (stimuli, units[, repeats])."""
        import numpy as np

        from neuroloom.numpy_files import read_array

        responses = read_array(self.responses)
        return np.swapaxes(responses, 0, 1) if self.units_first and responses.ndim > 1 else responses

    def read_groups(self) -> "np.ndarray | None":
        """Return the groups, if there are any."""
        from neuroloom.numpy_files import read_array

        return None if self.groups is None else read_array(self.groups)


@dataclass(frozen=True, kw_only=True)
class AuditImages(AuditOptions):
    """How much of the brain a reconstruction of the images that were shown uses."""

    images: Path
    """A zip or folder of images in the order of their names, or a .npy array."""
    generator: str | None = None
    """A folder from train-generator, or pca, retrieval, retrieval-pca; default predicts the pixels."""
    gallery: tuple[Path, ...] = ()
    """Other images, for pca and retrieval."""
    size_px: int = 32
    """Images are shrunk to squares of this side."""
    colour: bool = True
    """Reconstruct colours; else luminance."""

    def __call__(self) -> None:
        from neuroloom.auditing.run import audit_image_files

        curve = audit_image_files(
            self.read_responses(),
            self.images,
            generator=self.generator,
            gallery=self.gallery,
            size_px=self.size_px,
            colour=self.colour,
            sizes=self.sizes,
            metrics=self.metrics,
            groups=self.read_groups(),
            bottleneck=self.bottleneck,
            restorations=self.restorations,
            n_folds=self.folds,
            test_fraction=self.test_fraction,
            n_draws=self.draws,
            seed=self.seed,
        )
        finish(curve, self.out)


@dataclass(frozen=True, kw_only=True)
class AuditText(AuditOptions):
    """How much of the brain a reconstruction of the text that was read or heard uses."""

    texts: Path
    """A text file, one stimulus a line."""
    corpus: Path
    """A text file for the language model, one text a line."""
    model: Path | None = None
    """Folder or GGUF file of a causal language model (Hugging Face); default is a trigram model."""

    def __call__(self) -> None:
        from neuroloom.auditing.run import audit_text_files

        curve = audit_text_files(
            self.read_responses(),
            self.texts,
            self.corpus,
            model=self.model,
            sizes=self.sizes,
            metrics=self.metrics,
            groups=self.read_groups(),
            bottleneck=self.bottleneck,
            restorations=self.restorations,
            n_folds=self.folds,
            test_fraction=self.test_fraction,
            n_draws=self.draws,
            seed=self.seed,
        )
        finish(curve, self.out)


@dataclass(frozen=True, kw_only=True)
class AuditArrays(AuditOptions):
    """How much of the brain is needed to predict any targets: an embedding, a behaviour, pixels."""

    targets: Path
    """A .npy array (stimuli, targets)."""

    def __call__(self) -> None:
        from neuroloom.auditing.curve import audit
        from neuroloom.auditing.run import find_bottleneck
        from neuroloom.numpy_files import read_array

        curve = audit(
            self.read_responses(),
            read_array(self.targets),
            sizes=self.sizes,
            metrics=self.metrics,
            groups=self.read_groups(),
            bottleneck=find_bottleneck(self.bottleneck, unit_variance=True, seed=self.seed),
            restorations=self.restorations,
            n_folds=self.folds,
            test_fraction=self.test_fraction,
            n_draws=self.draws,
            seed=self.seed,
        )
        finish(curve, self.out)


@dataclass(frozen=True, kw_only=True)
class TrainGenerator:
    """Train a small generator of images (VAE) for audits; resumes, and takes a finished one as it is."""

    images: tuple[Path, ...]
    """Folders, zips or .npy arrays of images."""
    out: Path
    """Folder of the generator."""
    exclude: tuple[Path, ...] = ()
    """Images that will be reconstructed; what equals one of them is left out of training."""
    size_px: int = 32
    """Side of the images; a multiple of 8."""
    latents: int = 128
    """Size of the latent vector."""
    epochs: float = 30
    """Passes over the images."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        from neuroloom.auditing.run import train_generator

        train_generator(
            self.images,
            self.out,
            exclude=self.exclude,
            size_px=self.size_px,
            n_latents=self.latents,
            epochs=self.epochs,
            seed=self.seed,
        )
        console.wrote(self.out, "generator")
        console.following(
            f"neuroloom audit images --responses FILE --images FILE --generator {self.out} --out DIR"
        )


@dataclass(frozen=True, kw_only=True)
class AuditDecoder:
    """How few dimensions of the population a decoder needs, and what it scores without a brain."""

    session: tuple[Path, ...]
    """Session folders or NWB files."""
    target: str
    """A behaviour or a trial label."""
    out: Path
    """Folder for the curve, its figure and table."""
    model: Literal["wiener", "gru", "ndt", "poyo", "eit"] = "wiener"
    """Decoder, as of `neuroloom decode fit`."""
    bin_s: float | None = None
    """Bin width in seconds; default is the model's own."""
    config: Literal["small", "1.3M", "11.8M"] | None = None
    """Size of POYO."""
    steps: int | None = None
    """Optimizer steps of a network, which is trained once for every arm, size and draw."""
    sizes: tuple[int, ...] | None = None
    """Bottleneck sizes; default 1, 2, 5, 10, .."""
    test_fraction: float = 0.2
    """The last part of each session, on which decoders are scored."""
    draws: int = 2
    """Draws of noise and of wrong pairings, and seeds of a decoder that depends on its seed."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        from neuroloom.auditing.decoders import audit_decoder
        from neuroloom.cli.decoding import read_sessions
        from neuroloom.decoding.evaluation import make_decoder

        sessions = read_sessions(self.session, target=self.target)
        options = {
            name: value for name in ("bin_s", "config", "steps") if (value := getattr(self, name)) is not None
        }
        curve = audit_decoder(
            lambda seed=self.seed: make_decoder(self.model, self.target, seed=seed, options=options),
            sessions,
            self.sizes,
            test_fraction=self.test_fraction,
            n_draws=self.draws,
            seed=self.seed,
        )
        finish(curve, self.out)


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
