"""Small raw files in every official format, for the tests of seqattn.data."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

HEADER = "user,item,intensity,timestamp\n"


def written(path: Path, text: str | bytes) -> Path:
    """Write a file, gzipped if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def amazon_lines(rows: list[tuple]) -> str:
    """Lines of a reviews_*_5.json.gz for rows of (user, item, stars, seconds)."""
    keys = ("reviewerID", "asin", "overall", "unixReviewTime")
    more = {"reviewText": 'a "quoted" text, \u00e9', "helpful": [0, 0]}
    return "".join(json.dumps({**dict(zip(keys, row, strict=True)), **more}) + "\n" for row in rows)


def steam_lines(rows: list[tuple]) -> str:
    """Lines of a steam_reviews.json.gz, Python literals with u'', for (user, item, hours, date)."""
    form = (
        "{{u'username': u{0!r}, u'hours': {2!r}, u'product_id': u{1!r}, u'page_order': 0, "
        "u'date': u{3!r}, u'text': u'it\\'s {{fine}}', u'early_access': False, u'page': 1}}\n"
    )
    return "".join(form.format(*row) for row in rows)
