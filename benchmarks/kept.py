"""Finished results in a JSON file, so that a benchmark that was stopped goes on where it was.

kept = Kept(Path("eit_neural.json"))
score = kept("mihi eit seed 0", lambda: fit_and_score(..))       # computed once, whatever happens
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Kept:
    """Results by name, with the processor seconds each took.

    Parameters
    ----------
    path
        The JSON file; None keeps nothing.
    """

    def __init__(self, path: Path | None):
        self.path = path
        self.results: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            self.results = json.loads(path.read_text())

    def __call__(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return the result of that name, computed if it is not there."""
        if name not in self.results:
            began = time.process_time()
            value = compute()
            self.results[name] = {"value": value, "cpu_s": round(time.process_time() - began, 1)}
            print(f"{name}: {value}, {self.results[name]['cpu_s']:.0f} CPU s", flush=True)
            if self.path is not None:
                draft = self.path.with_name(f".{self.path.name}.draft")
                draft.write_text(json.dumps(self.results, indent=1) + "\n")
                draft.replace(self.path)
        return self.results[name]["value"]

    def cpu_s(self, names: list[str]) -> list[float]:
        """Return how long some results took."""
        return [self.results[name]["cpu_s"] for name in names]
