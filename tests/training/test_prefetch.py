import threading

import pytest

from neuroloom.training.prefetch import prefetched


@pytest.mark.parametrize("depth", [0, 1, 3, 20])
def test_order_and_number_do_not_depend_on_the_depth(depth):
    assert list(prefetched(str, range(10), depth=depth)) == [str(n) for n in range(10)]


def test_an_error_reaches_the_consumer():
    def fail(item):
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        list(prefetched(fail, range(3), depth=2))


def test_closing_early_leaves_no_thread():
    inputs = prefetched(str, range(1000), depth=2)
    next(inputs)
    inputs.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
