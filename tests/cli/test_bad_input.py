"""Bad input ends with exit code 2 and one message (value, expectation, remedy), and leaves nothing behind."""

from pathlib import Path

import numpy as np
import pytest

from neuroloom.cli import main
from neuroloom.sessions.session import Session


@pytest.fixture
def refused(capsys, tmp_path):
    """Run a command that must be refused, and return its message."""

    def run(*arguments: str | Path) -> str:
        before = sorted(tmp_path.rglob("*"))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert code == 2
        assert printed.err.startswith("neuroloom: error: ")
        assert printed.err.count("\n") == 1
        assert "expected" in printed.err
        assert "Remedy: " in printed.err
        assert "Traceback" not in printed.err
        assert sorted(tmp_path.rglob("*")) == before
        return printed.err

    return run


@pytest.fixture
def raw(tmp_path) -> Path:
    path = tmp_path / "tetrode.raw"
    rng = np.random.default_rng(0)
    rng.normal(0, 50, (15_000, 4)).astype(np.int16).tofile(path)
    return path


def binary(path, *, dtype="int16", channels=4, rate_hz=15_000.0, probe="tetrode") -> list[str]:
    return [
        *("--recording", str(path), "--dtype", dtype, "--channels", str(channels)),
        *("--rate-hz", str(rate_hz), "--probe", probe),
    ]


def fit(session, *, target="velocity", out="decoder") -> list[str]:
    return ["decode", "fit", "--session", str(session), "--target", target, "--out", str(out)]


@pytest.fixture
def session(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    return Session.from_arrays(
        id="monday",
        spike_times_s=[np.sort(rng.uniform(0, 20, 200)) for _ in range(3)],
        behavior={"velocity": (np.arange(0, 20, 0.02), rng.normal(size=(1000, 2)))},
        time_support=(0, 20),
    ).save(tmp_path / "monday.session")


def test_a_missing_recording(refused):
    assert "absent.raw" in refused("run", *binary(Path("absent.raw")), "--out", "run")


def test_a_missing_session(refused):
    message = refused(*fit("absent.session"))
    assert "absent.session" in message


def test_a_wrong_channel_count(refused, raw):
    assert "7" in refused("run", *binary(raw, channels=7, probe="linear-7"), "--out", "run")


def test_a_probe_that_does_not_match_the_channels(refused, raw):
    assert "4" in refused("run", *binary(raw, probe="linear-32"), "--out", "run")


def test_an_unknown_probe(refused, raw):
    assert "banana" in refused("run", *binary(raw, probe="banana"), "--out", "run")


def test_a_wrong_dtype(refused, raw):
    assert "float32" in refused("run", *binary(raw, dtype="float32"), "--out", "run")


def test_no_dtype(refused, raw):
    assert "dtype" in refused("run", "--recording", raw, "--out", "run")


def test_a_sampling_rate_of_zero(refused, raw):
    assert "0" in refused("run", *binary(raw, rate_hz=0), "--out", "run")


def test_an_empty_recording(refused, tmp_path):
    (tmp_path / "empty.raw").touch()
    assert "empty" in refused("run", *binary(tmp_path / "empty.raw"), "--out", "run")


def test_a_recording_of_nothing_but_nan(refused, tmp_path):
    np.full((15_000, 4), np.nan, np.float32).tofile(tmp_path / "nan.raw")
    assert "NaN" in refused("run", *binary(tmp_path / "nan.raw", dtype="float32"), "--out", "run")


def test_a_truncated_recording(refused, raw):
    raw.write_bytes(raw.read_bytes()[:-3])
    assert "119997" in refused("run", *binary(raw), "--out", "run").replace(",", "")


def test_an_unknown_target(refused, session):
    message = refused(*fit(session, target="speed"))
    assert "'speed'" in message
    assert "velocity" in message


def test_an_unknown_target_of_a_run(refused, raw, session):
    message = refused("run", *binary(raw), "--behavior", session, "--target", "speed", "--out", "run")
    assert "velocity" in message


def test_a_classifier_without_trials(refused, session):
    message = refused(*fit(session, target="direction"))
    assert "direction" in message


def test_units_that_the_decoder_has_not_met(refused, session, tmp_path, capsys):
    assert main(fit(session, out=tmp_path / "decoder")) == 0
    capsys.readouterr()
    other = Session.load(session)
    Session.from_arrays(
        id="tuesday", spike_times_s=[other.spikes[0].t], behavior=other.behavior, time_support=(0, 20)
    ).save(tmp_path / "tuesday.session")
    message = refused("decode", "predict", "--decoder", tmp_path / "decoder", "--session",
                      tmp_path / "tuesday.session", "--out", "predicted.csv")  # fmt: skip
    assert "tuesday/0" in message
    assert "adapt" in message


def test_a_folder_of_the_users_own_is_not_written_into(refused, raw, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    assert "mine" in refused("run", *binary(raw), "--out", tmp_path / "mine")


def test_a_damaged_decoder(refused, session, tmp_path, capsys):
    assert main(fit(session, out=tmp_path / "decoder")) == 0
    capsys.readouterr()
    arrays = tmp_path / "decoder" / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-10])
    message = refused("decode", "score", "--decoder", tmp_path / "decoder", "--session", session)
    assert "arrays.safetensors" in message


def test_debug_shows_the_traceback(session):
    from neuroloom.errors import UnknownTarget

    with pytest.raises(UnknownTarget):
        main([*fit(session, target="speed"), "--debug"])
