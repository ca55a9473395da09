import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neuroloom.sorting.medians import median


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
def test_the_median_is_that_of_numpy_to_the_bit(dtype, data):
    shape = arrays.array_shapes(min_dims=1, max_dims=3, max_side=9)
    elements = {"allow_nan": False, "allow_infinity": False, "min_value": -1e6, "max_value": 1e6}
    values = data.draw(arrays.arrays(dtype, shape, elements=elements))
    axis = data.draw(st.integers(0, values.ndim - 1))
    np.testing.assert_array_equal(median(values, axis=axis), np.median(values, axis=axis))
