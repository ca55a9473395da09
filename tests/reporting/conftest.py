"""A headless Chromium driven through its own pipe: the standard library suffices, and no port is opened."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
# The child must find the pipes as descriptors 3 and 4.
LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)


class Browser:
    """One tab of a headless Chromium, spoken to in the DevTools protocol."""

    def __init__(self, program: str, profile: Path):
        commands_out, self._commands = _pipe()
        self._answers, answers_in = _pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(commands_out), str(answers_in), program, *FLAGS,
             f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(commands_out, answers_in, 3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands_out)
        os.close(answers_in)
        self._buffer, self._count, self._session, self.events = b"", 0, None, []
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters):
        """Send one command and return its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, path: Path, *, width: int, dark: bool = False, height: int = 900):
        """Open a file at a window size and colour scheme, and wait until it is drawn."""
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="screen", features=[scheme])
        self.call("Page.navigate", url=path.resolve().as_uri())
        deadline = time.monotonic() + 60
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            assert time.monotonic() < deadline, "the page did not load"
            self.events.append(self._receive())

    def ask(self, expression: str):
        """Return the JSON-able value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def complaints(self) -> list[str]:
        """Return console messages, exceptions and refused loads since the page was opened."""
        self.ask("0")  # whatever was under way has been reported when this is answered
        kinds = (
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Log.entryAdded",
            "Network.loadingFailed",
        )
        return [json.dumps(event["params"]) for event in self.events if event.get("method") in kinds]

    def requests(self) -> list[str]:
        """Return every address asked for since the page was opened."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def screenshot(self, path: Path) -> Path:
        """Save the whole page as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def print_pdf(self, path: Path) -> Path:
        """Save the page as it would be printed on A4."""
        # Paper has its own width and media; what the screen was set to must not follow it there.
        self.call("Emulation.clearDeviceMetricsOverride")
        self.call("Emulation.setEmulatedMedia", media="", features=[])
        pdf = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=True,
                        preferCSSPageSize=True)  # fmt: skip
        path.write_bytes(base64.b64decode(pdf["data"]))
        return path

    def close(self):
        """End the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def _receive(self) -> dict:
        while b"\0" not in self._buffer:
            data = os.read(self._answers, 1 << 20)
            assert data, "the browser ended"
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)


def _pipe() -> tuple[int, int]:
    """Return a pipe whose descriptors cannot collide with 3 and 4."""
    ends = []
    for end in os.pipe():
        ends.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(end)
    return ends[0], ends[1]


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium; tests that ask for it are skipped where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    chromium = Browser(program, tmp_path_factory.mktemp("browser-profile"))
    yield chromium
    chromium.close()


@pytest.fixture(scope="session")
def simulated():
    """A short tetrode recording, its true sorting, and an analyzer of it."""
    import spikeinterface.core as si

    recording, truth = si.generate_ground_truth_recording(
        durations=[8.0], num_channels=4, num_units=4, seed=1, sampling_frequency=20_000.0
    )
    analyzer = si.create_sorting_analyzer(truth, recording, format="memory", sparse=False)
    analyzer.compute(
        ["random_spikes", "templates", "noise_levels", "spike_amplitudes", "unit_locations"],
        extension_params={"templates": {"operators": ["average", "std"]}},
        verbose=False, progress_bar=False, n_jobs=1,
    )  # fmt: skip
    analyzer.compute({"quality_metrics": {"metric_names": ["snr"]}}, verbose=False)
    return recording, truth, analyzer


def confidences(truth) -> dict:
    """Return what a sorter might say of its confidence and its embedding, and the truth beside it."""
    from neuroloom import seeds
    from neuroloom.reporting.sorting.calibration import Calibration
    from neuroloom.reporting.sorting.overview import Embedding

    rng = seeds.stream(0, "report", "confidences")
    ids, n_spikes = list(truth.unit_ids), 800
    unit, said = rng.integers(-1, len(ids), n_spikes), np.sqrt(rng.uniform(size=n_spikes))
    places = rng.normal(size=(n_spikes, 2)) + 4 * np.stack([np.cos(unit), np.sin(unit)], axis=1)
    units = (
        np.array(values) for values in ([0.99, 0.9, 0.7, 0.3], [0.99, 0.95, 0.4, 0.0], [1, 0.97, 0.6, 0])
    )
    return {
        "unit_confidence": dict(zip(ids, [0.99, 0.9, 0.7, 0.3], strict=True)),
        "spike_map": Embedding(places, unit, ids),
        "calibration": Calibration(ids, *units, said, rng.uniform(size=n_spikes) < said),
    }


@pytest.fixture(scope="session")
def session():
    """Twelve units, two behaviours and ten labelled trials over half a minute."""
    from neuroloom import seeds
    from neuroloom.sessions.session import Session

    rng = seeds.stream(0, "report", "session")
    times_s = np.arange(0, 30, 0.02)
    velocity = np.stack([np.sin(times_s), np.cos(0.7 * times_s)], axis=1) * 20
    trials = pd.DataFrame(
        {"start": np.arange(10) * 3.0, "end": np.arange(10) * 3.0 + 2, "target": [0, 1] * 5}
    )
    return Session.from_arrays(
        id="monkey/2013-10-03",
        spike_times_s=[np.sort(rng.uniform(0, 30, 60 + 20 * unit)) for unit in range(12)],
        behavior={"velocity": (times_s, velocity), "speed": (times_s, np.hypot(*velocity.T))},
        trials=trials,
        time_support=(0, 30),
    )


@pytest.fixture(scope="session")
def curve():
    """An audit whose brain arm saturates at eight numbers."""
    from neuroloom.auditing.results import AuditCurve, Score

    rows = []
    for size in (1, 2, 4, 8, 16):
        score = 0.8 * (1 - np.exp(-size / 2.5))
        rows += [Score("brain", size, "r2", score, score - 0.05, score + 0.05)]
        rows += [
            Score("random", size, "r2", 0.02, -0.02, 0.06),
            Score("shuffled", size, "r2", 0.0, -0.03, 0.03),
        ]
    rows += [Score("mean", 0, "r2", 0.0, 0.0, 0.0), Score("ceiling", 0, "r2", 1.0, 1.0, 1.0)]
    return AuditCurve(tuple(rows), {})


@pytest.fixture(scope="session")
def sections(simulated, session, curve):
    """One of every section, as a run would make them."""
    from neuroloom.reporting import sections as build

    recording, truth, analyzer = simulated
    performance = pd.DataFrame({"accuracy": [0.99, 0.95, 0.4, 0.0]}, index=truth.unit_ids)
    velocity = session.behavior["velocity"]
    losses = pd.DataFrame({"step": np.arange(1, 51), "training": 1 / np.arange(1, 51), "validation": np.nan})
    losses.loc[::10, "validation"] = 0.5
    labels = np.arange(60) % 3
    return [
        build.recording_section(recording, preprocessed=recording, bad_channel_ids=recording.channel_ids[:1]),
        build.sorting_section(analyzer, agreement=performance, **confidences(truth)),
        build.session_section(session),
        build.decoding_section(
            velocity * 0.9, velocity, target="velocity", model="Wiener filter", metric="R²", score=0.9,
            dimension_scores=[0.91, 0.89], session_scores={"monkey/2013-10-03": 0.9, "other": float("nan")},
            losses=losses,
        ),
        build.decoding_section(
            np.where(np.arange(60) % 7 == 0, 0, labels), labels, target="target", model="GRU",
            metric="accuracy", score=0.9, chance=1 / 3, anchor="decoding-target", title="Decoding: target",
        ),
        build.audit_section(curve),
    ]  # fmt: skip


@pytest.fixture(scope="session")
def page_parts(sections):
    """Everything that `write_page` takes."""
    from neuroloom.findings import Finding
    from neuroloom.reporting.page import Provenance, Summary

    return {
        "summary": Summary("Simulated tetrode", "A test of the page", ["All is well."]),
        "sections": sections,
        "findings": [
            Finding("info", "17 duplicate spikes dropped", "unit 4", "none needed"),
            Finding("warning", "2 samples are NaN", "channel 3", "look at the amplifier"),
        ],
        "provenance": Provenance(
            version="0.1.0", command="neuroloom run --recording trial_01.raw --out run", seed=0,
            config={"sort": {"sorter": "simple", "seed": 0}, "decode": {"alphas": [1, 10]}},
            data_fingerprint="ab" * 32, stages=[("sort", 12.3), ("decode", 1.0)], packages={"numpy": "2.4"},
        ),
    }  # fmt: skip


@pytest.fixture(scope="session")
def page(page_parts, tmp_path_factory):
    """The path of a realistic page."""
    from neuroloom.reporting.page import write_page

    return write_page(tmp_path_factory.mktemp("report"), **page_parts)
