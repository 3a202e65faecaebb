"""The published tables, as printed and under our names."""

import numpy as np
import pandas as pd
import pytest

from seqattn.data import CATALOGUE
from seqattn.errors import SeqattnError
from seqattn.studies.ia import published


def test_table2_agrees_with_the_catalogue():
    for row in published.table2().itertuples():
        size = CATALOGUE[row.dataset].table2
        assert (row.interactions, row.users, row.items) == (
            size.interactions,
            size.users,
            size.items,
        )


def test_table3_holds_63_cells_and_the_stars_of_the_text():
    table = published.table3().set_index(["dataset", "model", "metric"])
    assert len(table) == 63 and set(table["k"]) == {10}
    assert table.loc[("steam-3k", "ia-mul", "NDCG"), "change"] == -9.5
    assert table.loc[("amazon-office", "ia-val", "Recall"), "stars"] == "**"


def test_robust_cells_have_a_star_and_those_without_one_are_not_robust():
    table = published.table3()
    assert (table.loc[table["robust"] == "yes", "stars"] != "").all()
    assert (table.loc[table["stars"] == "", "robust"] == "no").all()
    assert (table.loc[table["robust"] == "yes", "change"] < 0).all()


def test_where_the_text_does_not_tell_robustness_is_unknown():
    table = published.table3()
    unknown = table[table["robust"] == "unknown"]
    assert set(unknown["dataset"]) == {"amazon-music", "amazon-office"}
    assert (unknown["stars"] != "").all()


def test_table4_spans_what_the_text_says():
    table = published.table4()
    assert len(table) == 21
    steam = table[table["dataset"].str.startswith("steam")]
    assert (steam["lambda_mean"].min(), steam["lambda_mean"].max()) == (0.56, 0.99)


def test_a_part_of_a_dataset_is_named_as_such():
    core = CATALOGUE["amazon-music"].mirror.core
    assert published.is_part("amazon-music", core.users)
    assert not published.is_part("amazon-music", CATALOGUE["amazon-music"].core.users)
    assert not published.is_part("ml-100k", 943)
    assert "half" in published.title("amazon-music", part=True)
    assert published.title("amazon-music") == "Amazon-Music"
    rows = pd.DataFrame({"dataset": ["amazon-music"] * 3, "part": [True, False, np.nan]})
    titles = [published.title("amazon-music", part=part) for part in (True, False, False)]
    assert published.with_titles(rows)["title"].tolist() == titles  # NaN: not run


def test_a_strange_name_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "FOLDER", tmp_path)
    (tmp_path / "ia_sasrec_table4_lambda.csv").write_text(
        "dataset,variant,lambda_mean,lambda_std\nNetflix,Add,1,0\n"
    )
    with pytest.raises(SeqattnError, match="Netflix"):
        published.table4()
    with pytest.raises(SeqattnError, match="restore it"):
        published.table3()
