"""What holds for every decoder, tested on the fastest one."""

import json

import numpy as np
import pynapple as nap
import pytest

from neuroloom import artifacts
from neuroloom.decoding.estimator import Decoder, load_decoder
from neuroloom.decoding.wiener import WienerDecoder
from neuroloom.errors import CorruptArtifact, DataError, MissingFile, NotFitted, UnknownTarget, UnknownUnit
from neuroloom.sessions.session import Session


def reordered(session, keys, *, id=None, times_s=None):
    return Session.from_arrays(
        id=id or session.id,
        spike_times_s={new: session.spikes[old].t for new, old in keys.items()},
        behavior=session.behavior,
        time_support=session.time_support,
    )


def test_the_constructor_only_stores():
    decoder = WienerDecoder("nothing yet", past_bins=-3)
    assert decoder.settings()["past_bins"] == -3
    assert repr(decoder) == "WienerDecoder(target='nothing yet', past_bins=-3)"


@pytest.mark.parametrize("call", ["predict", "score", "adapt", "save"])
def test_nothing_works_before_fit(call, linear_session, tmp_path):
    argument = tmp_path / "x" if call == "save" else linear_session()
    with pytest.raises(NotFitted, match="call fit first"):
        getattr(WienerDecoder("velocity"), call)(argument)
    assert not (tmp_path / "x").exists()


def test_predictions_keep_times_names_and_support(linear_session):
    session = linear_session()
    predicted = WienerDecoder("velocity").fit(session).predict(session)
    assert isinstance(predicted, nap.TsdFrame)
    assert list(predicted.columns) == ["x", "y"]
    np.testing.assert_allclose(predicted.t, np.arange(600) * 0.05 + 0.025)
    speed = WienerDecoder("speed").fit(session).predict(session)
    assert isinstance(speed, nap.Tsd)
    assert not isinstance(speed, nap.TsdFrame)


def test_labels_are_predicted_as_labels(tuned_session):
    session = tuned_session()
    decoder = WienerDecoder("direction", bin_s=0.1).fit(session)
    assert set(decoder.predict(session).values) == {"left", "right", "up"}
    probabilities = decoder.predict_probabilities(session)
    assert list(probabilities.columns) == ["left", "right", "up"]
    np.testing.assert_allclose(probabilities.values.sum(axis=1), 1)


def test_probabilities_of_a_behaviour_are_refused(linear_session):
    session = linear_session()
    with pytest.raises(DataError, match="call predict"):
        WienerDecoder("velocity").fit(session).predict_probabilities(session)


def test_one_session_is_as_good_as_a_list_of_one(linear_session):
    session = linear_session()
    one, several = WienerDecoder("velocity").fit(session), WienerDecoder("velocity").fit([session])
    np.testing.assert_array_equal(one.predict(session).values, several.predict(session).values)


def test_parts_of_a_session_count_as_one(linear_session):
    session = linear_session()
    parts = [session.restrict((0, 10 - 1e-9)), session.restrict((10, 30))]
    decoder = WienerDecoder("velocity", past_bins=2).fit(parts)
    assert list(decoder.units_) == ["a"]
    assert decoder.score(session) > 0.95


def test_sessions_are_decoded_each_by_its_own_units(linear_session):
    sessions = [linear_session(id="a", seed=0), linear_session(id="b", seed=5, n_units=9)]
    decoder = WienerDecoder("velocity", past_bins=2).fit(sessions)
    assert all(decoder.score(session) > 0.95 for session in sessions)


def test_units_may_come_in_another_order(linear_session):
    session = linear_session()
    decoder = WienerDecoder("velocity").fit(session)
    # Keys are names: the same units under the same keys, told in another order.
    backwards = reordered(session, {key: key for key in reversed(list(session.spikes.index))})
    np.testing.assert_array_equal(decoder.predict(backwards).values, decoder.predict(session).values)


def test_a_lost_unit_rests_at_its_mean_and_is_reported(linear_session):
    session = linear_session()
    decoder = WienerDecoder("velocity").fit(session)
    fewer = reordered(session, {key: key for key in (0, 1, 2, 3, 5)})
    result = decoder.evaluate(fewer)
    assert np.isfinite(result.value)
    assert "1 of 6 trained units are absent: a/4" in str(result.findings[0])


def test_unseen_units_and_sessions_are_refused_with_their_ids(linear_session):
    session = linear_session()
    decoder = WienerDecoder("velocity").fit(session)
    more = reordered(session, {**{key: key for key in range(6)}, 17: 0, 40: 1})
    with pytest.raises(UnknownUnit, match=r"a/17, a/40.*adapt"):
        decoder.predict(more)
    with pytest.raises(UnknownUnit, match=r"b/0, b/1.*sessions in training \(a\).*adapt"):
        decoder.score(linear_session(id="b"))


def test_adapting_learns_a_new_session_and_keeps_the_old(linear_session):
    old, new = linear_session(id="a"), linear_session(id="b", seed=9, n_units=4)
    decoder = WienerDecoder("velocity", past_bins=2).fit(old)
    before = decoder.predict(old).values
    assert decoder.adapt(new) is decoder
    assert decoder.score(new) > 0.95
    np.testing.assert_array_equal(decoder.predict(old).values, before)


def test_adapting_to_another_form_of_the_target_is_refused(linear_session, tuned_session):
    decoder = WienerDecoder("velocity").fit(linear_session())
    with pytest.raises(DataError, match=r"\[0, 1\].*\['x', 'y'\]"):
        decoder.adapt(linear_session(id="b", columns=False))
    labels = WienerDecoder("direction", bin_s=0.1).fit(tuned_session())
    with pytest.raises(DataError, match="'down'"):
        labels.adapt(tuned_session(id="b", labels=("left", "right", "down")))


@pytest.mark.parametrize("call", ["fit", "score", "adapt"])
def test_an_unknown_target_is_refused_with_those_there_are(call, linear_session):
    session = linear_session()
    decoder = WienerDecoder("speed").fit(session)
    bare = Session.from_arrays(id="a", spike_times_s={0: [0.1]}, behavior={"pupil": ([0.0, 1.0], [1.0, 2.0])})
    with pytest.raises(UnknownTarget, match="pupil"):
        getattr(decoder, call)(bare)


def test_a_label_needs_trials(tuned_session):
    session = tuned_session()
    decoder = WienerDecoder("direction", bin_s=0.1).fit(session)
    bare = Session.from_arrays(
        id="a", spike_times_s=[session.spikes[key].t for key in session.spikes.index], time_support=(0, 5)
    )
    with pytest.raises(DataError, match="no trials"):
        decoder.predict(bare)


def test_unlabelled_trials_can_be_decoded(tuned_session):
    session = tuned_session()
    decoder = WienerDecoder("direction", bin_s=0.1).fit(session)
    unlabelled = Session(
        id="a",
        subject="s",
        spikes=session.spikes,
        behavior={},
        trials=nap.IntervalSet(session.trials.start, session.trials.end),
        time_support=session.time_support,
    )
    np.testing.assert_array_equal(decoder.predict(unlabelled).values, decoder.predict(session).values)
    with pytest.raises(UnknownTarget):
        decoder.score(unlabelled)


@pytest.mark.parametrize("sessions", [[], [1], "a"])
def test_what_is_not_a_session_is_refused(sessions):
    with pytest.raises(DataError, match=r"neuroloom\.Session"):
        WienerDecoder("velocity").fit(sessions)


def test_a_session_without_units_is_refused():
    session = Session.from_arrays(id="a", spike_times_s=[], behavior={"x": ([0.0, 1.0], [1.0, 2.0])})
    with pytest.raises(DataError, match="no units"):
        WienerDecoder("x").fit(session)


def test_parts_of_one_session_must_have_the_same_units(linear_session):
    with pytest.raises(DataError, match="6 and 4 units"):
        WienerDecoder("velocity").fit([linear_session(), linear_session(n_units=4)])


@pytest.mark.parametrize("kind", ["behaviour", "label"])
def test_a_saved_decoder_predicts_the_same(tmp_path, kind, linear_session, tuned_session):
    session = linear_session() if kind == "behaviour" else tuned_session()
    decoder = WienerDecoder("velocity" if kind == "behaviour" else "direction", bin_s=0.1).fit(session)
    loaded = load_decoder(decoder.save(tmp_path / "decoder"))
    assert repr(loaded) == repr(decoder)
    assert loaded.data_fingerprint_ == decoder.data_fingerprint_
    assert loaded.alpha_ == decoder.alpha_
    predicted = loaded.predict(session)
    np.testing.assert_array_equal(predicted.values, decoder.predict(session).values)
    assert predicted.values.dtype == decoder.predict(session).values.dtype
    assert loaded.score(session) == decoder.score(session)


def test_what_is_not_a_decoder_is_not_loaded(tmp_path, linear_session):
    with pytest.raises(MissingFile):
        load_decoder(tmp_path / "none")
    linear_session().save(tmp_path / "session")
    with pytest.raises(CorruptArtifact, match="'session'"):
        load_decoder(tmp_path / "session")


def test_a_folder_cannot_name_code_to_run(tmp_path, linear_session):
    """Fault 13: the kind chooses from a table; a dotted path is just an unknown kind."""
    folder = WienerDecoder("velocity").fit(linear_session()).save(tmp_path / "decoder")
    manifest = json.loads((folder / artifacts.MANIFEST).read_text())
    manifest["kind"] = "decoder/os.system"
    del manifest["sha256"]  # whoever writes such a kind can write its hash, too
    (folder / artifacts.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CorruptArtifact, match=r"os\.system.*expected one of .*wiener"):
        load_decoder(folder)


def test_settings_of_another_version_are_refused(tmp_path, linear_session):
    folder = WienerDecoder("velocity").fit(linear_session()).save(tmp_path / "decoder")
    manifest = json.loads((folder / artifacts.MANIFEST).read_text())
    manifest["provenance"]["config"]["lookahead"] = 3
    del manifest["sha256"]
    (folder / artifacts.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CorruptArtifact, match=r"settings lookahead.*version that wrote it"):
        load_decoder(folder)


def test_decoders_defined_elsewhere_load_too(tmp_path, linear_session):
    class Constant(Decoder):
        kind = "constant-of-a-test"

        def __init__(self, target, *, bin_s=0.05):
            self.target, self.bin_s = target, bin_s

        def _learn(self, parts, folder):
            self.value_ = np.ones(self.target_.n_outputs)

        def _adapt(self, parts):
            pass

        def _outputs(self, session):
            centres = np.arange(10) * self.bin_s
            return centres, np.tile(self.value_, (10, 1))

        def _pack(self):
            return {}, {"value": self.value_}

        def _unpack(self, document, arrays):
            self.value_ = arrays["value"]

    session = linear_session()
    loaded = load_decoder(Constant("velocity").fit(session).save(tmp_path / "d"))
    np.testing.assert_array_equal(loaded.predict(session).values, np.ones((10, 2)))
