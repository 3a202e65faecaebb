"""One headless Chromium for the tests of a file."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def browser():
    from check_site import started

    with started() as found:
        yield found
