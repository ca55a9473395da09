"""Decoding as the spikes come: one prediction from the last second, whenever it is asked for."""

import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from neuroloom.decoding.poyo_online import OnlinePoyo
from neuroloom.decoding.tokens import Train, Windows, tokenize
from neuroloom.errors import DataError, UnknownUnit

if TYPE_CHECKING:
    from neuroloom.decoding.poyo_decoder import PoyoDecoder


class SpikeStream:
    """A decoder that is fed spikes and asked for outputs; made by `PoyoDecoder.stream`.

    An output for the time t is the prediction for the bin that ends at t, from the spikes in
    [t - context, t): what `PoyoDecoder(causal=True).predict` gives for that bin. Spikes may come in any
    order and in any portions, as long as they come before they are asked about.

    Parameters
    ----------
    decoder
        A fitted decoder.
    session_id
        A session that it knows.
    start_s
        Spikes before this are not read, as those before the start of a recording's time support.

    Attributes
    ----------
    latencies_s
        How long each prediction took.

    Notes
    -----
    What depends on weights alone is computed when the stream is made: adapt first, then stream.

    Examples
    --------
    ``stream = decoder.stream("monday"); stream.push([0.51, 0.52], ["monday/3", "monday/0"])``, then
    ``stream.predict(0.55)``.
    """

    def __init__(self, decoder: "PoyoDecoder", session_id: str, *, start_s: float = -np.inf):
        if session_id not in decoder.units_:
            raise UnknownUnit(
                f"session {session_id!r} is unknown",
                expected=f"one of {', '.join(decoder.units_) or 'none'}",
                remedy="call adapt(session) with a part of this session to learn it",
            )
        self._decoder, self._start_s = decoder, start_s
        self._row = decoder.sessions_.index(session_id)
        units, model = decoder.units_[session_id], decoder.model_
        self._rows = {unit: row for row, unit in enumerate(units)}
        self._all_rows = np.array([decoder.rows_[unit] for unit in units], dtype=np.int64)
        self._query_s = np.array([model.config.context_s - decoder.bin_s / 2])
        self._network: OnlinePoyo | None = None  # on a GPU the model itself, which has kernels for it
        if model.readout.weight.device.type == "cpu":
            self._network = OnlinePoyo(
                model,
                units=torch.from_numpy(self._all_rows),
                session=self._row,
                query_times_s=torch.from_numpy(self._query_s),
            )
        self._scale = decoder.scales_[session_id]
        self._context_s = model.config.context_s
        self._times, self._units = np.zeros(0), np.zeros(0, dtype=np.int64)
        self._now_s = -np.inf
        self._output(0.0)  # the first output costs a hundred times the next ones
        self.latencies_s: list[float] = []

    def push(self, times_s: object, unit_ids: object) -> None:
        """Take spikes.

        Parameters
        ----------
        times_s
            Shape (spikes,), seconds.
        unit_ids
            Shape (spikes,): ids such as ``"monday/3"``.

        Raises
        ------
        UnknownUnit
            If a unit is not one of the session's.
        DataError
            If there are not as many units as times, a time is not a number, or one is older than what has
            been decoded already and would have changed it.
        """
        times = np.atleast_1d(np.asarray(times_s, dtype=np.float64))
        ids = [str(each) for each in np.atleast_1d(np.asarray(unit_ids))]
        if len(times) != len(ids) or not np.isfinite(times).all():
            raise DataError(
                f"{len(times)} times ({np.count_nonzero(~np.isfinite(times))} not finite), {len(ids)} units",
                expected="a finite time and a unit for every spike",
                remedy="pass arrays of one length, in seconds",
            )
        unknown = sorted(set(ids) - set(self._rows))
        if unknown:
            raise UnknownUnit(
                f"units not met in training: {', '.join(unknown[:8])}",
                expected=f"units of this session, such as {next(iter(self._rows))!r}",
                remedy="call adapt(session) to learn them, or leave their spikes out",
            )
        if len(times) and times.min() < self._now_s:
            raise DataError(
                f"a spike at {times.min():g} s, after the output for {self._now_s:g} s was asked for",
                expected="spikes that are not older than the last output",
                remedy="push spikes first, or decode a little later",
            )
        rows = np.array([self._rows[each] for each in ids], dtype=np.int64)
        self._times = np.concatenate([self._times, times])
        self._units = np.concatenate([self._units, rows])
        order = np.argsort(self._times, kind="stable")
        self._times, self._units = self._times[order], self._units[order]

    def predict(self, now_s: float) -> np.ndarray:
        """Return the behaviour (dimensions,) in the bin that ends at `now_s`, or the labels' probabilities.

        Spikes older than the context are forgotten.

        Raises
        ------
        DataError
            If `now_s` is not a number, or lies before the last output.
        """
        if not np.isfinite(now_s) or now_s < self._now_s:
            raise DataError(
                f"an output for {now_s} s after that for {self._now_s:g} s",
                expected="a finite time that does not go back",
                remedy="ask in order of time",
            )
        began = time.perf_counter()
        self._now_s = now_s
        kept = slice(int(np.searchsorted(self._times, now_s - self._context_s)), None)
        self._times, self._units = self._times[kept], self._units[kept]
        values = self._output(now_s)
        self.latencies_s.append(time.perf_counter() - began)
        return values

    def _output(self, now_s: float) -> np.ndarray:
        begin_s = now_s - self._context_s
        seen = slice(*np.searchsorted(self._times, (max(begin_s, self._start_s), now_s)))
        values = self._outputs_of(self._units[seen], self._times[seen] - begin_s)
        if self._decoder.target_.task == "classification":
            return values.softmax(-1).numpy()
        return values.numpy() * self._scale.spread + self._scale.mean

    @torch.inference_mode()
    def _outputs_of(self, unit: np.ndarray, times_s: np.ndarray) -> torch.Tensor:
        """Return the network's output, float64, from the spikes of one window: unit (n,), times_s (n,)."""
        if self._network is not None:
            return self._network(torch.from_numpy(unit), torch.from_numpy(times_s))[0].double()
        model = self._decoder.model_
        spikes = Train(times_s, self._all_rows[unit], self._all_rows, self._row)
        window = Windows(*(np.array([each]) for each in (0, 0.0, -np.inf, np.inf)))
        inputs = tokenize([spikes], window, self._query_s[None], context_s=self._context_s)
        return model(inputs.to(model.readout.weight.device))[0, 0].double().cpu()
