"""Decoders that come with the package."""

from pathlib import Path

from neuroloom.artifacts import bundled_folder
from neuroloom.decoding.estimator import Decoder, load_decoder

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
    ('velocity', 12)
    """
    return load_decoder(bundled_folder(BUNDLED, name))
