"""Every refusal says what was met, what was expected and what to do."""

import pickle  # to show that our exceptions cross process borders; nothing in the package unpickles

import pytest

from neuroloom import errors
from neuroloom.findings import Finding, refuse_errors

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.NeuroloomError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_has_value_expectation_and_remedy(kind):
    text = str(kind("rate is 0 Hz", expected="a positive rate", remedy="pass --rate-hz"))
    assert text == "rate is 0 Hz; expected a positive rate. Remedy: pass --rate-hz."


@pytest.mark.parametrize("kind", KINDS)
def test_exceptions_cross_process_borders(kind):
    error = kind("a", expected="b", remedy="c")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is kind
    assert str(again) == str(error)


def test_errors_among_findings_stop_the_work_and_warnings_do_not():
    warning = Finding("warning", "dead channel", "channel 3", "it is left out")
    error = Finding("error", "no samples", "x.raw", "record something")
    assert refuse_errors([warning]) == [warning]
    with pytest.raises(errors.DataError, match="no samples.*record something"):
        refuse_errors([warning, error])
