"""How decoders are called in words for people."""


def model_name(kind: str) -> str:
    """Return a decoder's name for a reader.

    Parameters
    ----------
    kind
        Its name in commands and files.

    Examples
    --------
    >>> model_name("poyo"), model_name("wiener")
    ('POYO', 'Wiener filter')
    """
    return "Wiener filter" if kind == "wiener" else kind.upper()
