"""The results pages: generated from records, "not run" where there are none."""

import pytest

from seqattn.audit.records import describe
from seqattn.data import CATALOGUE
from seqattn.pages import datasets as pages


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Records of one dataset, filed under the name of one of the paper's."""
    folder = tmp_path_factory.mktemp("records")
    describe("synthetic").write(folder / "ml-100k")
    return folder


def test_without_records_every_dataset_reads_not_run(tmp_path):
    text = pages.counts_table(pages.read_records(tmp_path))
    for name in CATALOGUE:
        if name != "synthetic":
            assert f"not run: `seqattn prepare {name} -o results/datasets/{name}`" in text


def test_counts_stand_beside_the_published_ones(folder):
    record = pages.read_records(folder)[0]
    row = pages.counts_table([record]).splitlines()[-1]
    sizes = [" / ".join(f"{step[k]:,}" for k in ("interactions", "users", "items"))
             for step in (record.dataset["steps"][0], record.dataset["steps"][-1])]  # fmt: skip
    assert row.split(" | ")[1:4] == ["100,000 / 943 / 1,682", *sizes]
    assert row.endswith("| neither |")


@pytest.mark.parametrize(
    ("sizes", "verdict"),
    [
        (("a", "a", "a", "b"), "the unfiltered log"),
        (("a", "a", "half", "b"), "the log as read, incomplete rows included"),
        (("b", "a", "a", "b"), "the prepared log"),
        (("a", "a", "a", "a"), "both"),
        (("c", "a", "a", "b"), "neither"),
    ],
)
def test_the_published_size_is_matched_to_a_stage(sizes, verdict):
    assert pages._which(*sizes) == verdict


def test_red_lights_are_listed_with_value_and_threshold(folder):
    (record, *_) = pages.read_records(folder)
    reds = [f for f in record.audit["findings"] if f["light"] == "red"]
    text = pages.alarms_list([record])
    assert reds and all(f["title"] in text for f in reds)
    greens = [f for f in record.audit["findings"] if f["light"] == "green"]
    assert not any(f["title"] in text for f in greens)


def test_pages_are_written_with_their_figures(folder, tmp_path):
    pages.write_pages(pages.read_records(folder), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"datasets_lights.svg", "datasets_bits.svg", "datasets_correlations.svg"} <= names
    assert all((tmp_path / f"datasets_{n}.md").read_text().strip() for n in ("counts", "alarms"))
    assert "Not run" not in (tmp_path / "datasets_intensity.md").read_text()


def test_pages_without_any_record_still_build(tmp_path):
    pages.write_pages(pages.read_records(tmp_path / "none"), tmp_path)
    assert (tmp_path / "datasets_alarms.md").read_text() == "Not run.\n"
    assert "not run" in (tmp_path / "datasets_lights.svg").read_text()
