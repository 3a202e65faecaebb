"""RecBole reads the atomic files we write."""

from __future__ import annotations

import pytest

pytest.importorskip("recbole.config")

import pandas as pd
from recbole.data import create_dataset
from recbole_logs import RecBoleSASRec, recbole_config

from seqattn.data import Interactions
from seqattn.data.readers import write_inter

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:recbole")


def test_recbole_reads_the_inter_file_we_write(tmp_path):
    frame = pd.DataFrame(
        {
            "user": ["a", "a", 'quoted "b"'],
            "item": [1, 2, 1],
            "intensity": [0.5, 2.0, 3.0],
            "timestamp": [5.0, 6.0, 7.0],
        }
    )
    (tmp_path / "log").mkdir()
    write_inter(Interactions.from_frame(frame), tmp_path / "log" / "log.inter")
    columns = {"inter": ["user_id", "item_id", "rating", "timestamp"]}
    config = recbole_config(RecBoleSASRec, "log", data_path=str(tmp_path), load_col=columns)
    read = create_dataset(config)
    assert list(read.id2token("user_id", read.inter_feat["user_id"])) == frame["user"].tolist()
    assert read.inter_feat["rating"].tolist() == frame["intensity"].tolist()
