"""One headless Chromium for the tests of a file."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def browser():
    from check_site import CHROMIUM_FLAGS, chromium
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        yield found
        found.close()
