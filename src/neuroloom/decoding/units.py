"""Sessions and units as a decoder knows them: by id, in any order."""

from collections.abc import Mapping, Sequence

from neuroloom.errors import DataError, UnknownUnit
from neuroloom.findings import Finding
from neuroloom.sessions.session import Session

_SHOWN = 8


def listed(sessions: Session | Sequence[Session]) -> list[Session]:
    """Return one session or several as a list.

    Raises
    ------
    DataError
        If there is none, or something else among them.
    """
    listed = [sessions] if isinstance(sessions, Session) else list(sessions)
    if not listed or not all(isinstance(each, Session) for each in listed):
        raise DataError(
            f"{len(listed)} sessions of types {sorted({type(each).__name__ for each in listed})}",
            expected="one neuroloom.Session or several",
            remedy="build them with Session.from_arrays or Session.load",
        )
    return listed


def parts_by_id(sessions: Sequence[Session]) -> dict[str, list[Session]]:
    """Return sessions by id; several with one id are parts of the same recording.

    Raises
    ------
    DataError
        If a session has no units, or two parts have different ones.
    """
    parts: dict[str, list[Session]] = {}
    for session in sessions:
        if not session.unit_ids:
            raise DataError(
                f"session {session.id!r} has no units",
                expected="at least one unit to decode from",
                remedy="check the sorting, or leave this session out",
            )
        parts.setdefault(session.id, []).append(session)
        first = parts[session.id][0].unit_ids
        if sorted(session.unit_ids) != sorted(first):
            raise DataError(
                f"parts of session {session.id!r} have {len(first)} and {len(session.unit_ids)} units",
                expected="the same units in all parts of a session",
                remedy="give different recordings different ids",
            )
    return parts


def require_known_units(session: Session, trained: Mapping[str, Sequence[str]]) -> None:
    """Raise UnknownUnit, naming `adapt`, for a session or units that are not in `trained`.

    Parameters
    ----------
    session
        To be decoded.
    trained
        Session id -> ids of the units met in training.
    """
    unseen = sorted(set(session.unit_ids) - set(trained.get(session.id, ())))
    if session.id in trained and not unseen:
        return
    raise UnknownUnit(
        f"units not met in training: {_listed(unseen)}" if unseen else f"session {session.id!r} is unknown",
        expected=f"units of the sessions in training ({', '.join(trained)})",
        remedy="call adapt(session) with a part of this session to learn them",
    )


def lost_units(session: Session, trained: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Return a warning if units that were trained on are absent from the session."""
    known = trained[session.id]
    lost = sorted(set(known) - set(session.unit_ids))
    if not lost:
        return []
    what = f"{len(lost)} of {len(known)} trained units are absent: {_listed(lost)}"
    return [Finding("warning", what, f"session {session.id}", "they are taken at their mean rate")]


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_SHOWN]) + (f" .. ({len(ids)} in all)" if len(ids) > _SHOWN else "")
