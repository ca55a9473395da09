"""Recordings whose spikes are known: simulated reaching, and real spike trains in simulated voltage."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from neuroloom.errors import DataError

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

    from neuroloom.sessions.session import Session

Kind = Literal["simulated", "hybrid"]
# Multi-unit channels fire faster than any single neuron near a probe would.
HIGHEST_HZ = 20.0
HYBRID_UNITS = 12


@dataclass(frozen=True, order=True)
class Condition:
    """What distinguishes one recording of a benchmark from another.

    Attributes
    ----------
    kind
        ``"simulated"`` (a population that drives a reaching hand) or ``"hybrid"`` (real spike trains).
    noise_uv
        Standard deviation of the noise.
    drift_um
        Range of a slow drift of the tissue along the probe.
    seed
        Of the recording, and of everything done with it.
    """

    kind: Kind
    noise_uv: float
    drift_um: float
    seed: int

    @property
    def name(self) -> str:
        """A name for files, such as ``"simulated-30uv-drift30um-seed0"``."""
        drift = f"drift{self.drift_um:g}um" if self.drift_um else "still"
        return f"{self.kind}-{self.noise_uv:g}uv-{drift}-seed{self.seed}"


@dataclass(frozen=True)
class KnownRecording:
    """A recording, its true units, and what was done meanwhile.

    Attributes
    ----------
    recording
        Lazy voltage in microvolt.
    truth
        The true units.
    session
        Of the true units, with the behaviour.
    """

    recording: "BaseRecording"
    truth: "BaseSorting"
    session: "Session"

    def session_of(self, spikes: "BaseSorting") -> "Session":
        """Return the session as it would be with other spikes, over the same time."""
        from neuroloom.sessions.session import Session

        return Session.from_sorting(
            spikes,
            id=self.session.id,
            behavior=self.session.behavior,
            trials=self.session.trials,
            subject=self.session.subject,
            time_support=self.session.time_support,
        )


def simulated_reaching(condition: Condition, *, minutes: float, probe: str) -> KnownRecording:
    """Return the recording of `neuroloom demo` in another noise, drifting or not."""
    import pynapple as nap

    from neuroloom.sessions.session import Session
    from neuroloom.simulation.recordings import demo_recording

    made = demo_recording(
        probe=probe,
        duration_s=60.0 * minutes,
        noise_uv=condition.noise_uv,
        drift_um=condition.drift_um,
        seed=condition.seed,
    )
    session = Session.from_sorting(
        made.sorting,
        id=condition.name,
        behavior={
            name: nap.TsdFrame(times_s, values, columns=["x", "y"])
            for name, (times_s, values) in made.behavior.items()
        },
        trials=made.trials,
        time_support=(0.0, made.recording.get_total_duration()),
    )
    return KnownRecording(made.recording, made.sorting, session)


def hybrid(condition: Condition, session: "Session", *, probe: str, **options: Any) -> KnownRecording:
    """Return simulated voltage with a session's own spike trains in it.

    Parameters
    ----------
    condition
        Noise, drift and seed.
    session
        Real spike trains and behaviour that begin at time 0, as from `first_minutes`.
    probe
        Name of a built-in probe.
    options
        Further arguments of `neuroloom.simulation.recordings.inject`, such as ``amplitudes_uv``.
    """
    from neuroloom.simulation.recordings import inject

    recording, truth = inject(
        {key: np.asarray(session.spikes.data[key].t) for key in session.spikes},
        probe=probe,
        duration_s=float(session.time_support.end[-1]) + 0.5,
        noise_uv=condition.noise_uv,
        drift_um=condition.drift_um,
        seed=condition.seed,
        **options,
    )
    return KnownRecording(recording, truth, session)


def first_minutes(
    session: "Session", minutes: float, *, n_units: int = HYBRID_UNITS, highest_hz: float = HIGHEST_HZ
) -> "Session":
    """Return the beginning of a session with its most active single neurons, starting at time 0.

    Parameters
    ----------
    session
        With trials, it is cut at the end of the last whole one.
    minutes
        Length.
    n_units
        Neurons to keep.
    highest_hz
        Units that fire faster are left out.

    Raises
    ------
    DataError
        If no trial or no unit is left.
    """
    from neuroloom.sessions.session import Session

    start_s = float(session.time_support.start[0])
    end_s = start_s + 60.0 * minutes
    if session.trials is not None:
        ends = np.asarray(session.trials.end, float)
        kept = session.trials[np.flatnonzero(ends <= end_s)]
        if not len(kept):
            raise DataError(
                f"{minutes:g} minutes of {session.id}",
                expected="at least one trial",
                remedy="pass more minutes",
            )
        part = session.restrict(kept)
    else:
        part = session.restrict((start_s, min(end_s, float(session.time_support.end[-1]))))
    rates_hz = {key: len(part.spikes.data[key].t) / part.duration_s for key in part.spikes}
    single = [key for key, rate_hz in rates_hz.items() if 0 < rate_hz <= highest_hz]
    keys = sorted(single, key=lambda key: rates_hz[key], reverse=True)[:n_units]
    if not keys:
        raise DataError(
            f"{session.id} has no unit that fires at up to {highest_hz:g} Hz",
            expected="single neurons",
            remedy="pass another session",
        )
    first_s = float(part.time_support.start[0])
    return Session.from_arrays(
        id=session.id,
        subject=session.subject,
        spike_times_s={key: part.spikes.data[key].t - first_s for key in keys},
        behavior={name: (series.t - first_s, series.values) for name, series in part.behavior.items()},
        trials=_shifted(part.trials, first_s),
        time_support=part.time_support.values - first_s,
    )


def _shifted(trials: Any, by_s: float) -> Any:
    """Return trials, with their labels, that much earlier."""
    if trials is None:
        return None
    table = trials.as_dataframe()
    return table.assign(start=table["start"] - by_s, end=table["end"] - by_s)
