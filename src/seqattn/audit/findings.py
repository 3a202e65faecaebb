"""Traffic lights: one threshold table, and the advice that goes with each check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

# What words of an advice stand for, of a log with an intensity and of one without.
_DEPENDS = {
    "OTHER": ("ia-add", "bert4rec"),
    "POLICY": ("`duplicates: keep` or `duplicates: sum`", "`duplicates: keep`"),
}


@dataclass(frozen=True)
class Check:
    """A measure with its thresholds.

    Attributes
    ----------
    key, title : str
        Key in ``audit.json``, and the wording in tables.
    amber, red : float
        The light changes when the value passes beyond the threshold, not at it: below, if `red`
        is less than `amber`.
    advice : str
        What to do when it is not green, with the command, or the line of a dataset's YAML, that
        does it; NAME stands for the dataset, and other words in capitals for what depends on
        whether it has an intensity.
    """

    key: str
    title: str
    amber: float
    red: float
    advice: str

    @property
    def asks_for_a_model(self) -> bool:
        """Whether a command of the advice fits one or reads one."""
        return "`seqattn fit" in self.advice or "`seqattn metrics" in self.advice

    def light(self, value: float) -> str:
        """Return the light of a value; "grey" for NaN, which stands for "could not be measured"."""
        if np.isnan(value):
            return "grey"
        sign = 1 if self.amber < self.red else -1
        if sign * value > sign * self.red:
            return "red"
        return "amber" if sign * value > sign * self.amber else "green"

    def told(self, name: str, intensity: bool) -> str:
        """Return the advice for a dataset, by its name, with or without an intensity."""
        advice = self.advice
        for word, (with_one, without) in _DEPENDS.items():
            advice = advice.replace(word, with_one if intensity else without)
        return advice.replace("NAME", name)


CHECKS = (
    # Reading drops rows with an empty field; which rows lack one is seldom a matter of chance.
    Check(
        "rows_incomplete",
        "rows dropped at reading for an empty field",
        0.0,
        0.05,
        "Get the complete file and run `seqattn prepare NAME` again, or name the log after "
        "this part.",
    ),
    # A filter that removes a third of the log makes another dataset of it.
    Check(
        "interactions_lost",
        "interactions lost to the k-core",
        0.05,
        0.33,
        "Report the counts of `seqattn prepare NAME`, and repeat the main result with a "
        "weaker filter, `filters: {k_core: 3}` in the dataset's YAML.",
    ),
    Check(
        "users_lost",
        "users lost to the k-core",
        0.05,
        0.33,
        "Conclusions hold for active users only; repeat them with a weaker filter, `filters: "
        "{k_core: 3}` in the dataset's YAML.",
    ),
    # SplitLight's bounds (its summary.yml) for mean lengths are 10 and 4; medians are used here
    # because one long history moves a mean.
    Check(
        "median_length",
        "median history length",
        10,
        5,
        "Expect little from order in histories this short; compare with a model that reads "
        "none, `seqattn fit -d NAME -m itemknn -s 2020`.",
    ),
    # A recall of 0.1 has a standard error of 3 % of itself at 10,000 users, 10 % at 1,000.
    Check(
        "test_users",
        "users with a test target",
        10_000,
        1_000,
        "Report intervals, by `seqattn compare sasrec OTHER -d NAME`: differences of a few "
        "per cent are within chance here.",
    ),
    # Half is what an even log plus chance never reaches; four fifths leaves the tail unlearnable.
    Check(
        "popularity_top10",
        "share of the top 10 % of items",
        0.5,
        0.8,
        "Report a popularity baseline, `seqattn fit -d NAME -m pop -s 2020`, and metrics by "
        "popularity band, `seqattn metrics -d NAME -m sasrec`.",
    ),
    # Preparation keeps one of each pair, so a share this large is behaviour thrown away.
    Check(
        "repeats",
        "repeated user-item pairs, as read",
        0.01,
        0.1,
        "Decide whether repeats are behaviour or noise, by POLICY in the dataset's YAML; keeping "
        "only the latest hides re-use.",
    ),
    # Any missing stamp puts a row out of reach of the time checks below.
    Check(
        "stamps_missing",
        "timestamps missing, as read",
        0.0,
        0.05,
        "Read the time checks as statements about the rows with stamps, or get the complete "
        "file and run `seqattn prepare NAME` again.",
    ),
    # One impossible stamp may be a slip; one in a hundred is a wrong unit or a default value.
    Check(
        "stamps_out_of_range",
        "timestamps outside 1990-2050, as read",
        0.0,
        0.01,
        "Numbers count as seconds since 1970, unless the dataset's YAML says `time_unit: ms`, us "
        "or ns; write days of a spreadsheet as dates, 2024-01-31. Drop default dates before "
        "splitting by time.",
    ),
    # By chance a second of the day holds about 1e-5 of the stamps.
    Check(
        "day_resolution",
        "stamps at one time of day, as read",
        0.05,
        0.5,
        "The stamps are dates, so the order within a day is unknown: report the metric with "
        "ties reversed, by `seqattn metrics -d NAME -m sasrec`.",
    ),
    # Published differences between models are a few per cent, so convention must decide less
    # than that: 1 % and 5 % of interactions or targets.
    Check(
        "tied",
        "interactions tied with another of the user",
        0.01,
        0.05,
        "The file decides the order of these interactions; `ties: item-id` in the dataset's "
        "YAML makes it independent of the file. Report which.",
    ),
    Check(
        "tie_targets",
        "test targets that change when ties are reversed",
        0.01,
        0.05,
        "Report the difference between models in both orders of ties, by `seqattn metrics -d "
        "NAME -m sasrec OTHER`: a gain must have its sign in both.",
    ),
    # Histories entered at one sitting have an order of entry, not of taste.
    Check(
        "within_a_day",
        "users whose whole history lies within a day",
        0.1,
        0.5,
        "Do not read order as change of taste, most of it is that of one sitting: compare "
        "with a model that reads none, `seqattn fit -d NAME -m itemknn -s 2020`.",
    ),
    # Any overlap is leakage; the mean share says how much of the future is trained on.
    Check(
        "older_than_training",
        "test targets older than training events of others",
        0.0,
        0.5,
        "The split is not a forecast on this log: compare models under a global time split also, "
        "`split: {time: quantile 0.9}` in the dataset's YAML.",
    ),
    Check(
        "future_training",
        "mean share of training later than the test target",
        0.01,
        0.1,
        "Models learn from this much of the future: compare them under a global time split "
        "also, `split: {time: quantile 0.9}` in the dataset's YAML.",
    ),
    # Impossible in service, so anything is wrong; 1 % and 5 % as for ties.
    Check(
        "not_yet_born",
        "test items first seen in training after the target",
        0.01,
        0.05,
        "In service these items would have been new: repeat the comparison with `split: "
        "{time: quantile 0.9}` in the dataset's YAML, which has no such targets.",
    ),
    # SplitLight's bounds, 3 % and 15 %.
    Check(
        "cold_items",
        "test targets whose item is never in training",
        0.03,
        0.15,
        "Report metrics without these targets as well, by `seqattn metrics -d NAME -m "
        "sasrec`: no id-based model can rank such items.",
    ),
    # A KS distance of 0.1 and 0.2: for normal shapes a shift of a quarter and half a deviation.
    Check(
        "popularity_shift",
        "KS distance of popularity, training to test",
        0.1,
        0.2,
        "Targets are not drawn like training items: report metrics by popularity band, "
        "`seqattn metrics -d NAME -m sasrec`.",
    ),
    Check(
        "intensity_shift",
        "KS distance of intensity, training to test",
        0.1,
        0.2,
        "Check what the intensity measures at a history's end, and whether targets of high "
        "intensity are another task, by `seqattn metrics -d NAME -m sasrec`.",
    ),
    # Attention contrasts the intensities of a history. Where half of the log has nothing to
    # contrast, the other half must carry any effect; where all has, the column is another one.
    Check(
        "intensity_constant",
        "interactions in histories of two or more whose intensity does not vary",
        0.5,
        0.95,
        "Check what intensity is here (`columns: {intensity: COLUMN}` in a YAML of your own). If "
        "it is the right column, this share of the log has nothing to tell a model that reads "
        "intensity, and that such a model equals sasrec says as much less about it.",
    ),
)

# `split` in the YAML of a log that has one already would take the place of it.
_BESIDE_THE_GIVEN = (
    "compare models under a global time split beside it: in a second YAML, of another name and "
    "with all rows in one file, write `split: {time: quantile 0.9}` in the place of the given one."
)
# What is said of these checks under a split that was given, by key.
UNDER_A_GIVEN_SPLIT = {
    "older_than_training": f"The given split is not a forecast: {_BESIDE_THE_GIVEN}",
    "future_training": f"Models learn from this much of the future: {_BESIDE_THE_GIVEN}",
    "not_yet_born": f"In service these items would have been new: {_BESIDE_THE_GIVEN}",
}


def value_text(value: float) -> str:
    """Return a check's value as text: a count of thousands whole, else three digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def findings(
    values: Mapping[str, float],
    notes: Mapping[str, str] | None = None,
    name: str = "NAME",
    intensity: bool = True,
    instead: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return a row per check: check, title, value, amber, red, light, advice.

    A check whose key has no value, or NaN, is grey. A note is said after the advice, whose commands
    hold the `name` of the dataset and fit a log with or without an `intensity`. Where the usual
    advice is not true of a log, `instead` has another.
    """
    rows = []
    for check in CHECKS:
        value = float(values.get(check.key, np.nan))
        light = check.light(value)
        advice = {
            "green": "Nothing to do.",
            "grey": "Not judged: the log lacks the column, the split or the stamps this needs.",
        }.get(light, (instead or {}).get(check.key, check.told(name, intensity)))
        advice = f"{advice} {(notes or {}).get(check.key, '')}".rstrip()
        rows.append((check.key, check.title, value, check.amber, check.red, light, advice))
    columns = ["check", "title", "value", "amber", "red", "light", "advice"]
    return pd.DataFrame(rows, columns=columns)
