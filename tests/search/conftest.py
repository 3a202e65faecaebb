"""Databases of searches that do not wait for the disk."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest
import sqlalchemy


def _no_sync(connection: object, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        with contextlib.suppress(sqlite3.Error):  # a file that is no database is the test's matter
            connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(autouse=True)
def no_sync() -> Iterator[None]:
    """Commit to the kernel and no further.

    A search commits a hundred times a trial. What a killed process has committed is there all the
    same: only a machine that stops would lose it, and no test stops one.
    """
    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", _no_sync)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", _no_sync)
