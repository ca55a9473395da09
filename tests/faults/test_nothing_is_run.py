"""Rows 13 and 14 of the fault table: no file that is read runs a program, or is written out of its place."""

import json
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from neuroloom import artifacts
from neuroloom.auditing.image_files import load_images
from neuroloom.auditing.pth_files import read_pth
from neuroloom.auditing.vae import VAE
from neuroloom.decoding.estimator import load_decoder
from neuroloom.decoding.wiener import WienerDecoder
from neuroloom.dynamics.mixture import MixtureOfLDS
from neuroloom.errors import CorruptArtifact, NeuroloomError
from neuroloom.numpy_files import read_array
from neuroloom.reporting.section_files import FILE, read_section
from neuroloom.sessions.nwb_metadata import read_metadata
from neuroloom.sessions.session import Session
from neuroloom.sorting.curation import read_phy
from neuroloom.sorting.pretrained import bundled_weights, load_weights
from neuroloom.sorting.safety import refuse_programs


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture
def sprung(tmp_path):
    """The file that a trap would make; afterwards it must not be there."""
    path = tmp_path / "sprung"
    yield path
    assert not path.exists()


@pytest.fixture
def decoder(tmp_path):
    counts = np.random.default_rng(0).poisson(2, size=(60, 3))
    session = Session.from_counts(counts, bin_size_s=0.05, id="a", behavior={"x": counts[:, 0] * 1.0})
    return WienerDecoder("x").fit(session).save(tmp_path / "decoder")


@pytest.mark.parametrize("name", [artifacts.ARRAYS, artifacts.DOCUMENT])
@pytest.mark.parametrize("read", [load_decoder, Session.load, MixtureOfLDS.load, VAE.load, load_weights])
def test_a_pickle_in_place_of_a_saved_file_is_never_opened(decoder, sprung, read, name):
    manifest = json.loads((decoder / artifacts.MANIFEST).read_text())
    kinds = {
        load_decoder: "decoder/wiener",
        Session.load: "session",
        MixtureOfLDS.load: "dynamics/mixture-of-lds",
        VAE.load: "generator",
        load_weights: "detector/small",
    }
    (decoder / name).write_bytes(pickle.dumps(Trap(sprung)))
    (decoder / artifacts.MANIFEST).unlink()
    artifacts.seal(decoder, kind=kinds[read], provenance=manifest["provenance"])
    with pytest.raises(CorruptArtifact):
        read(decoder)


@pytest.mark.parametrize("kind", ["decoder/os.system", "decoder/neuroloom.cli.main", "decoder/__import__"])
def test_a_dotted_path_is_just_an_unknown_kind(decoder, sprung, kind):
    manifest = json.loads((decoder / artifacts.MANIFEST).read_text())
    (decoder / artifacts.MANIFEST).unlink()
    artifacts.seal(decoder, kind=kind, provenance=manifest["provenance"])
    with pytest.raises(CorruptArtifact, match="expected one of"):
        load_decoder(decoder)


def test_a_detectors_folder_cannot_name_what_to_build(tmp_path, sprung):
    folder = shutil.copytree(bundled_weights("detector"), tmp_path / "detector")
    (folder / artifacts.MANIFEST).unlink()
    artifacts.seal(folder, kind="detector/os.system")
    with pytest.raises(NeuroloomError):
        load_weights(folder)


def test_arrays_of_objects_are_refused(tmp_path, sprung):
    np.save(tmp_path / "a.npy", np.array([Trap(sprung)], dtype=object), allow_pickle=True)
    with pytest.raises(NeuroloomError, match="cannot be read"):
        read_array(tmp_path / "a.npy")
    with pytest.raises(CorruptArtifact, match="no plain array"):
        refuse_programs(tmp_path)


def test_tensors_of_others_are_read_without_their_program(tmp_path, sprung):
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Trap(sprung), protocol=2) * 5)
    with pytest.raises(CorruptArtifact):
        read_pth(tmp_path / "a.pth")


def test_metadata_and_curation_are_data(tmp_path, sprung):
    (tmp_path / "a.yaml").write_text(f"!!python/object/apply:os.mknod ['{sprung}']")
    with pytest.raises(NeuroloomError, match="cannot be read"):
        read_metadata(tmp_path / "a.yaml")
    (tmp_path / "params.py").write_text(f"sample_rate = open({str(sprung)!r}, 'w') and 30000.0")
    with pytest.raises(NeuroloomError, match="cannot be read"):
        read_phy(tmp_path)


def test_a_section_of_a_page_builds_nothing_but_sections(tmp_path, sprung):
    (tmp_path / FILE).write_text(json.dumps({"kind": "os.system", "command": f"touch {sprung}"}))
    with pytest.raises(CorruptArtifact):
        read_section(tmp_path)


def test_names_in_an_archive_cannot_leave_it(tmp_path):
    """Row 14: images are read inside the archive; nothing is ever extracted."""
    from io import BytesIO

    from PIL import Image

    image = BytesIO()
    Image.new("RGB", (4, 4)).save(image, "PNG")
    (tmp_path / "room").mkdir()
    with zipfile.ZipFile(tmp_path / "room" / "a.zip", "w") as archive:
        archive.writestr("../outside.png", image.getvalue())
        archive.writestr("/outside.png", image.getvalue())
    before = sorted(tmp_path.rglob("*"))
    assert load_images(tmp_path / "room" / "a.zip", size_px=4).shape == (2, 4, 4, 3)
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_in_the_package_extracts_archives_or_unpickles():
    import neuroloom

    for path in Path(neuroloom.__file__).parent.rglob("*.py"):
        text = path.read_text()
        for word in (
            "extractall(",
            "unpack_archive(",
            "pickle.load",
            "allow_pickle=True",
            "yaml.load(",
            "tarfile",
        ):
            assert word not in text, f"{path} has {word}"
        assert "torch.load(" not in text or "weights_only=True" in text, path
