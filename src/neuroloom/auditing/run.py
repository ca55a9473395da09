"""Audits of files, as the command line calls them: paths in, curves and generators out."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from neuroloom import artifacts
from neuroloom.auditing.bottleneck import Bottleneck, PCABottleneck, ReducedRankRidge
from neuroloom.auditing.curve import audit
from neuroloom.auditing.generators import PCA, Generator, NetworkEmbedding, Retrieval
from neuroloom.auditing.image_files import load_images
from neuroloom.auditing.inputs import without_duplicates
from neuroloom.auditing.results import AuditCurve
from neuroloom.auditing.vae import KIND as VAE_KIND
from neuroloom.auditing.vae import VAE
from neuroloom.errors import DataError, MissingFile

PathLike = str | os.PathLike
BottleneckName = Literal["reduced-rank", "joint", "pca"]
# Where the checkpoints of a generator in training lie, beside the finished one.
TRAINING = ".training"


def train_generator(
    images: Sequence[PathLike],
    out: PathLike,
    *,
    exclude: Sequence[PathLike] = (),
    size_px: int = 32,
    n_latents: int = 128,
    epochs: float = 30,
    seed: int = 0,
    quiet: bool = False,
) -> VAE:
    """Train a VAE on image files and save it; an earlier one made from the same images is taken as it is.

    Parameters
    ----------
    images
        Folders, zip files or ``.npy`` files of images.
    out
        Folder of the generator. A killed training is resumed from the folder beside it.
    exclude
        Images that will be reconstructed: what equals one of them (after resizing) is left out.
    size_px, n_latents, epochs, seed, quiet
        As in `neuroloom.auditing.vae.VAE`.

    Raises
    ------
    MissingFile, DataError
        If files are absent or hold no images.
    """
    out = Path(out)
    stimuli = np.concatenate([load_images(path, size_px=size_px) for path in images])
    for path in exclude:
        stimuli = without_duplicates(stimuli, of=load_images(path, size_px=size_px))
    generator = VAE(n_latents=n_latents, epochs=epochs, seed=seed)
    fingerprint = artifacts.fingerprint(stimuli, generator.settings())
    if (out / artifacts.MANIFEST).exists():
        found = artifacts.load_artifact(out, kind=VAE_KIND)
        if found.provenance["data_fingerprint"] == fingerprint:
            return VAE.load(out)
    generator.fit(stimuli, folder=out.with_name(out.name + TRAINING), quiet=quiet)
    generator.save(out, data_fingerprint=fingerprint)
    return generator


def find_generator(
    name: str | PathLike, *, gallery: Sequence[PathLike] = (), of: np.ndarray, size_px: int = 32
) -> Generator:
    """Return a generator by the folder that holds it, or by name, fitted to a gallery of images.

    Parameters
    ----------
    name
        A folder written by `train_generator`; or ``"pca"``, ``"retrieval"`` (nearest image by
        EfficientNet features) or ``"retrieval-pca"``.
    gallery
        Images for the last three.
    of
        The images to be reconstructed (images, ..); what equals them is taken out of the gallery.
    size_px
        Side to which images are scaled.

    Raises
    ------
    MissingFile
        If there is no such folder.
    DataError
        If a gallery is needed and missing.
    """
    if str(name) not in ("pca", "retrieval", "retrieval-pca"):
        if not Path(name).is_dir():
            raise MissingFile(
                f"generator {name} does not exist",
                expected="a folder, or one of pca, retrieval, retrieval-pca",
                remedy="make one with neuroloom audit train-generator",
            )
        return VAE.load(name)
    if not gallery:
        raise DataError(
            f"generator {name} without a gallery",
            expected="images that were not shown in the experiment",
            remedy="pass gallery=[..]",
        )
    images = [load_images(path, size_px=size_px, colour=of.ndim == 4) for path in gallery]
    stimuli = without_duplicates(np.concatenate(images), of=of)
    n_latents = min(128, len(stimuli) - 1)
    if name == "pca":
        return PCA(n_latents=n_latents).fit(stimuli)
    embedding = PCA(n_latents=n_latents) if name == "retrieval-pca" else NetworkEmbedding(n_latents=n_latents)
    return Retrieval(embedding).fit(stimuli)


def find_bottleneck(name: BottleneckName, *, unit_variance: bool, seed: int = 0) -> Bottleneck:
    """Return an unfitted bottleneck by name.

    Parameters
    ----------
    name
        ``"reduced-rank"``, ``"joint"`` (the paper's, trained by AdamW, one model a size) or ``"pca"``.
    unit_variance
        z-score the targets: right for pixels and behaviours, wrong for a generator's latents.
    seed
        Of what is random in it.

    Raises
    ------
    DataError
        If there is none of that name.
    """
    if name == "reduced-rank":
        return ReducedRankRidge(unit_variance=unit_variance, seed=seed)
    if name == "pca":
        return PCABottleneck(unit_variance=unit_variance, seed=seed)
    if name != "joint":
        raise DataError(
            f"there is no bottleneck {name!r}",
            expected=f"one of {', '.join(get_args(BottleneckName))}",
            remedy="pass one of these",
        )
    from neuroloom.auditing.joint_bottleneck import JointLinear

    return JointLinear(unit_variance=unit_variance, seed=seed)


def audit_image_files(
    responses: np.ndarray,
    images: PathLike,
    *,
    generator: str | PathLike | None = None,
    gallery: Sequence[PathLike] = (),
    size_px: int = 32,
    colour: bool = True,
    sizes: Sequence[int] | None = None,
    metrics: Sequence[str] | None = None,
    groups: Any = None,
    bottleneck: BottleneckName = "reduced-rank",
    restorations: Sequence[str] | None = None,
    n_folds: int | None = None,
    test_fraction: float | None = None,
    n_draws: int = 3,
    seed: int = 0,
) -> AuditCurve:
    """Audit the reconstruction of image files.

    Parameters
    ----------
    responses
        (images, units), in the order of the images' names.
    images
        A folder, zip file or ``.npy`` file.
    generator, gallery
        As in `find_generator`; ``None`` predicts the pixels themselves.
    size_px, colour
        As in `load_images`.
    bottleneck
        As in `find_bottleneck`.
    sizes, metrics, groups, restorations, n_folds, test_fraction, n_draws, seed
        As in `neuroloom.audit`.

    Raises
    ------
    MissingFile, DataError, LeakySplit
        As in `find_generator` and `neuroloom.audit`.
    """
    stimuli = load_images(images, size_px=size_px, colour=colour)
    made = None
    if generator is not None:
        made = find_generator(generator, gallery=gallery, of=stimuli, size_px=size_px)
    return audit(
        responses,
        stimuli,
        generator=made,
        sizes=sizes,
        metrics=metrics,
        groups=groups,
        bottleneck=find_bottleneck(bottleneck, unit_variance=made is None, seed=seed),
        restorations=restorations,
        n_folds=n_folds,
        test_fraction=test_fraction,
        n_draws=n_draws,
        seed=seed,
    )


def audit_text_files(
    responses: np.ndarray,
    texts: PathLike,
    corpus: PathLike,
    *,
    model: PathLike | None = None,
    n_tokens: int = 8,
    n_features: int = 8,
    sizes: Sequence[int] | None = None,
    metrics: Sequence[str] | None = None,
    groups: Any = None,
    bottleneck: BottleneckName = "reduced-rank",
    restorations: Sequence[str] | None = None,
    n_folds: int | None = None,
    test_fraction: float | None = None,
    n_draws: int = 3,
    seed: int = 0,
) -> AuditCurve:
    """Audit the reconstruction of text.

    Parameters
    ----------
    responses
        (texts, units).
    texts
        A text file, one stimulus a line.
    corpus
        A text file for the word model, one text a line; lines that are stimuli too are left out.
    model
        Folder or GGUF file of a Hugging Face causal language model; default a trigram model of the corpus.
    n_tokens, n_features
        As in `neuroloom.auditing.text_generator.TextGenerator`.
    bottleneck
        As in `find_bottleneck`.
    sizes, metrics, groups, restorations, n_folds, test_fraction, n_draws, seed
        As in `neuroloom.audit`.

    Raises
    ------
    MissingFile, DataError
        If files are absent or empty; else as `neuroloom.audit`.
    """
    from neuroloom.auditing.language import HuggingFaceModel
    from neuroloom.auditing.text_generator import TextGenerator

    stimuli, known = _lines(texts), _lines(corpus)
    known = without_duplicates(known, of=stimuli)
    language = HuggingFaceModel(model) if model is not None else None
    generator = TextGenerator(
        n_tokens=n_tokens, n_features=n_features, language_model=language, seed=seed
    ).fit(list(known))
    return audit(
        responses,
        stimuli,
        generator=generator,
        sizes=sizes,
        metrics=metrics,
        groups=groups,
        bottleneck=find_bottleneck(bottleneck, unit_variance=False, seed=seed),
        restorations=restorations,
        n_folds=n_folds,
        test_fraction=test_fraction,
        n_draws=n_draws,
        seed=seed,
    )


def _lines(path: PathLike) -> np.ndarray:
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"{path} does not exist", expected="a text file", remedy="check the path")
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{path} is empty", expected="one text a line", remedy="check the file")
    return np.array(lines, dtype=object)
