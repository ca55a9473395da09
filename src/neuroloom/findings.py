"""What a check has to say about some data: how grave, what, where, and what to do."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from neuroloom.errors import DataError

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing found in a recording, sorting or session.

    Attributes
    ----------
    level
        ``"info"`` (worth knowing), ``"warning"`` (handled, and reported) or ``"error"`` (work must not
        start).
    what
        The finding, with its value.
    where
        The file, channel, unit, trial or time it concerns.
    remedy
        What the user can do about it.
    """

    level: Level
    what: str
    where: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.what} ({self.remedy})"

    def as_dict(self) -> dict[str, str]:
        """Return the finding as a JSON-ready dictionary."""
        return asdict(self)


def refuse_errors(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings unchanged, or raise for those that forbid the work.

    Raises
    ------
    DataError
        If any finding is an error; the message names all of them.
    """
    findings = list(findings)
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise DataError(
            "; ".join(f"{finding.where}: {finding.what}" for finding in errors),
            expected="data without these faults",
            remedy="; ".join(dict.fromkeys(finding.remedy.rstrip(".") for finding in errors)),
        )
    return findings
