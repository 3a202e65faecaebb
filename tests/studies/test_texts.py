"""Numbers as the text of a cell."""

from __future__ import annotations

import numpy as np
import pytest

from seqattn.studies import texts


@pytest.mark.parametrize(
    ("value", "expected"), [(-0.04, "+0.0"), (np.float64(-0.06), "-0.1"), (np.nan, "not run")]
)
def test_a_change_that_rounds_to_nothing_has_no_minus(value, expected):
    assert texts.percent(value) == expected


def test_an_interval_of_nothing_is_empty():
    assert texts.span(-0.01, 2.34) == "[+0.0, +2.3]"
    assert texts.span(np.nan, np.nan) == ""
    assert texts.estimate(-0.01, -1, 2.34, unit=" %") == "+0.0 % [-1.0, +2.3]"
    assert texts.estimate(1.234, 1.0, 1.5, ".2f") == "1.23 [1.00, 1.50]"
    assert texts.estimate(1, np.nan, np.nan) == "+1.0 "
