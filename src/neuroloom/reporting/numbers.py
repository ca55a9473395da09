"""How numbers are written in a report, everywhere the same."""

import math


def written(value: object, digits: int = 2, *, unit: str = "") -> str:
    """Return a number for a reader: a fixed count of decimals, real minus signs, a dash for "unknown".

    Examples
    --------
    >>> written(-1234.5678, 1, unit="µV").split()
    ['−1,234.6', 'µV']
    >>> written(float("nan"))
    '–'
    """
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return str(value)
    if not math.isfinite(number):
        return "–"
    text = f"{number:,.{digits}f}".replace("-", "−")
    if text.strip("−0.,") == "":
        text = text.lstrip("−")
    return f"{text}\N{NO-BREAK SPACE}{unit}" if unit else text


def counted(count: int, thing: str) -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> counted(1, "unit"), counted(0, "unit"), counted(1200, "trial")
    ('1 unit', 'no units', '1,200 trials')
    """
    number = "no" if count == 0 else f"{count:,}"
    return f"{number} {thing}{'' if count == 1 else 's'}"


def spoken_duration(seconds: float) -> str:
    """Return a duration as a person would say it.

    Examples
    --------
    >>> spoken_duration(28.9), spoken_duration(754.0), spoken_duration(7300.0)
    ('28.9 s', '12 min 34 s', '2 h 2 min')
    """
    if not math.isfinite(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
