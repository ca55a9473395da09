"""The verb that decodes spikes as they come."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neuroloom.cli import console
from neuroloom.cli.decoding import read_sessions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuroloom.decoding.poyo_decoder import PoyoDecoder


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Decode spikes as they come: of a session, as if it were live, or from lines of text."""

    decoder: Path
    """Folder of a POYO decoder, best fitted with --causal."""
    session: Path | None = None
    """Session folder or NWB file to be replayed."""
    spikes: str | None = None
    """Instead of a session: a file of lines "time_s,unit" in order of time, or - for standard input."""
    session_id: str | None = None
    """With --spikes: which of the decoder's sessions the units belong to; the only one by default."""
    out: Path | None = None
    """A .csv table for the predictions; without it they are printed, one a line."""
    step_ms: float | None = None
    """Time from one prediction to the next; the decoder's bin by default."""
    start_s: float = 0.0
    """Where decoding begins."""
    end_s: float | None = None
    """Where it ends."""
    real_time: bool = False
    """Wait until each moment has come; else as fast as it goes."""

    def __call__(self) -> None:
        from neuroloom.artifacts import write_text
        from neuroloom.decoding.replay import latency_summary, replay

        decoder = self._decoder()
        id, spikes, known_end_s = self._spikes(decoder)
        step_s = decoder.bin_s if self.step_ms is None else self.step_ms / 1e3
        stream = decoder.stream(id, start_s=self.start_s)
        names = [str(name) for name in decoder.target_.columns or decoder.target_.classes]
        lines = [",".join(["time_s", *names])]
        if self.out is None:
            print(lines[0])
        for time_s, values in replay(
            stream,
            spikes,
            step_s=step_s,
            start_s=self.start_s,
            end_s=known_end_s if self.end_s is None else self.end_s,
            real_time=self.real_time,
        ):
            lines.append(",".join([f"{time_s:.6g}", *(f"{value:.6g}" for value in values)]))
            if self.out is None:
                print(lines[-1], flush=True)
        summary = latency_summary(stream.latencies_s)
        print(f"{len(stream.latencies_s)} predictions, {1e3 * step_s:g} ms apart")
        late = sum(latency > step_s for latency in stream.latencies_s)
        console.show_table(["latency", *summary, "longer than a step"], [["", *summary.values(), late]])
        if self.out is not None:
            write_text(self.out, "\n".join(lines) + "\n")
            console.wrote(self.out, f"{len(lines) - 1} predictions")
        console.following(
            f'neuroloom.load_decoder("{self.decoder}").stream({id!r}) in Python: push spikes, predict'
        )

    def _decoder(self) -> "PoyoDecoder":
        from neuroloom.decoding.estimator import load_decoder
        from neuroloom.errors import DataError

        decoder = load_decoder(self.decoder)
        if not hasattr(decoder, "stream"):
            raise DataError(
                f"{self.decoder} is a {decoder.kind} decoder",
                expected="a decoder that streams: poyo",
                remedy="fit one with --model poyo --causal",
            )
        if not decoder.causal:  # type: ignore[attr-defined]
            print("  info: not fitted with --causal, so that outputs at a window's end are its least sure")
        return decoder  # type: ignore[return-value]

    def _spikes(self, decoder: "PoyoDecoder") -> "tuple[str, Iterator[tuple[float, str]], float]":
        """Return the session's id, its spikes, and where they end."""
        from neuroloom.decoding.replay import spikes_in_lines, spikes_of
        from neuroloom.errors import DataError, MissingFile

        if (self.session is None) == (self.spikes is None):
            raise DataError(
                "--session and --spikes", expected="exactly one of them", remedy="pass the one to be decoded"
            )
        if self.session is not None:
            session = read_sessions((self.session,))[0]
            return session.id, spikes_of(session), float(session.time_support.end[-1])
        if self.session_id is None and len(decoder.sessions_) != 1:
            raise DataError(
                f"the decoder knows {len(decoder.sessions_)} sessions",
                expected=f"--session-id, one of {', '.join(decoder.sessions_)}",
                remedy="say whose units these are",
            )
        id = self.session_id or decoder.sessions_[0]
        if self.spikes == "-":
            return id, spikes_in_lines(sys.stdin), float("inf")
        path = Path(str(self.spikes))
        if not path.is_file():
            raise MissingFile(f"there is no {path}", expected="a file of spikes", remedy="check --spikes")
        return id, spikes_in_lines(path.read_text(errors="replace").splitlines()), float("inf")
