"""The one family of exceptions that neuroloom raises on purpose.

Every message says three things: the value that was met, what was expected, and the remedy.
"""


class NeuroloomError(Exception):
    """Anything neuroloom refuses to do, in three parts.

    Parameters
    ----------
    found
        What was met, with its value.
    expected
        What would have been accepted.
    remedy
        What the user can do about it.

    Examples
    --------
    >>> print(DataError("sampling rate is nan Hz", expected="a positive number", remedy="pass --rate-hz"))
    sampling rate is nan Hz; expected a positive number. Remedy: pass --rate-hz.
    """

    def __init__(self, found: str, *, expected: str, remedy: str):
        self.found, self.expected, self.remedy = found, expected, remedy
        super().__init__(f"{found}; expected {expected}. Remedy: {remedy.rstrip('.')}.")

    def __reduce__(self):
        # Exceptions cross process borders in joblib and the chunk executor; keyword-only arguments need help.
        return (_rebuild, (type(self), self.found, self.expected, self.remedy))


def _rebuild(kind: type[NeuroloomError], found: str, expected: str, remedy: str) -> NeuroloomError:
    return kind(found, expected=expected, remedy=remedy)


class DataError(NeuroloomError, ValueError):
    """Input data or an argument is not what it must be."""


class MissingFile(NeuroloomError, FileNotFoundError):
    """A file or folder that was named does not exist."""

    # OSError keeps its own str(); ours carries the remedy.
    __str__ = Exception.__str__


class CorruptArtifact(NeuroloomError):
    """A saved model, session or run is damaged, incomplete, or not one of ours."""


class UnknownTarget(NeuroloomError, LookupError):
    """A behaviour or trial label that the session does not have."""


class UnknownUnit(NeuroloomError, LookupError):
    """Units or sessions that the model has not met in training."""


class NotFitted(NeuroloomError):
    """A model was used before `fit`."""


class LeakySplit(DataError):
    """A split that would put the same stimulus, trial or moment on both sides."""


class MissingDependency(NeuroloomError, ImportError):
    """An optional package is not installed."""
