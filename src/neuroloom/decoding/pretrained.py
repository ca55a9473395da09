"""Decoders that come with the package."""

from pathlib import Path

from neuroloom.artifacts import bundled_folder
from neuroloom.decoding.estimator import Decoder, load_decoder
from neuroloom.decoding.targets import find_target
from neuroloom.sessions.session import Session

BUNDLED = Path(__file__).parent / "weights"


def load_pretrained(name: str) -> Decoder:
    """Return a decoder that comes with the package, ready for `adapt`.

    It knows no session yet. Its ``card_`` says what it learned from, with which command, and how well it
    does on animals that it had never met.

    Parameters
    ----------
    name
        ``"poyo-reaching-small"``: a `PoyoDecoder` of hand velocity, from simulated reaching animals.

    Raises
    ------
    DataError
        If there is no such decoder; the message names those that there are.

    Examples
    --------
    >>> decoder = load_pretrained("poyo-reaching-small")
    >>> decoder.target, decoder.card_["data"]["animals"]
    ('velocity', 24)
    """
    return load_decoder(bundled_folder(BUNDLED, name))


def pretrained_for(session: Session, target: str) -> Decoder | None:
    """Return the bundled decoder that can adapt to a session's target, or None where there is none.

    That is a behaviour called ``velocity`` with two columns, whatever these are called.
    """
    decoder, found = load_pretrained("poyo-reaching-small"), find_target([session], target)
    known = decoder.target_
    same = (found.name, found.task, found.n_outputs) == (known.name, known.task, known.n_outputs)
    return decoder if same else None
