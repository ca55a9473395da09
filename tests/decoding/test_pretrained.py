"""The decoder that comes with the package: it loads, says where it is from, and meets unseen sessions."""

import json
import time
from importlib.resources import files

import numpy as np
import pytest

from neuroloom import PoyoDecoder, Session, WienerDecoder, load_pretrained
from neuroloom.decoding.poyo_pretraining import NAME, unseen_session
from neuroloom.decoding.pretrained import pretrained_for
from neuroloom.errors import DataError, UnknownUnit


@pytest.fixture(scope="module")
def session():
    return unseen_session(0, minutes=2.0, n_units=40)


def test_it_is_a_decoder_that_knows_no_session_yet(session):
    decoder = load_pretrained(NAME)
    assert isinstance(decoder, PoyoDecoder)
    assert decoder.target == "velocity"
    assert decoder.sessions_ == []
    with pytest.raises(UnknownUnit, match="adapt"):
        decoder.predict(session[1])


def test_its_card_says_what_made_it():
    card = load_pretrained(NAME).card_
    assert card is not None
    assert card["name"] == NAME
    assert {"data", "seed", "command", "figures", "date", "licence"} <= card.keys()
    assert card["command"].startswith("neuroloom pretrain poyo --out")
    assert card["data"]["sessions"] >= 40
    assert card["figures"]["r2_unseen_animals"]["least"] > 0.5


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(DataError, match=NAME):
        load_pretrained("poyo-walking-large")


def test_it_is_small():
    folder = files("neuroloom") / "decoding" / "weights" / NAME
    parts = list(folder.iterdir())
    assert {part.name for part in parts} == {"arrays.safetensors", "document.json", "manifest.json"}
    assert sum(len(part.read_bytes()) for part in parts) < 10e6
    assert json.loads((folder / "document.json").read_text())["card"]


def test_the_card_travels_with_an_adapted_decoder(session, tmp_path):
    from neuroloom import load_decoder

    decoder = load_pretrained(NAME)
    decoder.quiet = True
    decoder.adapt(session[0].restrict((0, 20)), steps=2)
    again = load_decoder(decoder.save(tmp_path / "adapted"))
    assert again.card_ == decoder.card_


@pytest.mark.slow
def test_it_adapts_to_an_unseen_animal_in_seconds_and_beats_a_wiener_filter(session):
    learn, test = session
    decoder = load_pretrained(NAME)
    decoder.quiet = True
    began = time.process_time()
    decoder.adapt(learn, steps=200)
    assert time.process_time() - began < 60
    wiener = WienerDecoder("velocity", past_bins=10, future_bins=6).fit(learn)
    assert decoder.score(test) > wiener.score(test)


@pytest.mark.parametrize(
    ("name", "columns", "fits"), [("velocity", 2, True), ("velocity", 3, False), ("position", 2, False)]
)
def test_the_bundled_decoder_is_offered_for_a_velocity_in_two_dimensions_alone(name, columns, fits):
    times_s = np.arange(0, 2, 0.05)
    session = Session.from_arrays(
        id="a",
        spike_times_s=[[0.5, 1.0]],
        behavior={name: (times_s, np.zeros((len(times_s), columns)))},
    )
    assert (pretrained_for(session, name) is not None) == fits
