"""What the README says the book found is what the committed tables say."""

from __future__ import annotations

import sys

from seqattn.files import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import readme_findings


def test_the_findings_are_those_of_the_tables():
    told = readme_findings.README.read_text(encoding="utf-8")
    assert readme_findings.findings() in told, "run: python tools/readme_findings.py"
    assert readme_findings.filled(told) == told


def test_its_pictures_are_there():
    told = readme_findings.README.read_text(encoding="utf-8")
    for part in told.split("](")[1:]:
        target = part.partition(")")[0].partition("#")[0]
        assert target.startswith("http") or (ROOT / target).exists(), target
