"""The datasets of the book, each described once.

Titles are [IA]'s names, where it has the dataset. Sizes are those of the files named; ``table2``
are the published ones, [IA] Table 2.
"""

from __future__ import annotations

from dataclasses import replace

from seqattn.data.entry import Counts, Entry, Mirror
from seqattn.data.preparation import Preparation

__all__ = ["CATALOGUE", "Counts", "Entry"]

_GROUPLENS = "https://files.grouplens.org/datasets"
_AMAZON = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
_MOVIELENS_LICENCE = "GroupLens terms: research use with citation, no redistribution"
_UCSD_LICENCE = "UCSD: research use with citation"

_MOVIELENS = (
    Entry(
        name="ml-100k",
        title="ML-100K",
        intensity="rating given by the user",
        unit="stars, 1 to 5",
        licence=_MOVIELENS_LICENCE,
        citation="harper2015movielens",
        url=f"{_GROUPLENS}/movielens/ml-100k.zip",
        sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        raw=Counts(100_000, 943, 1_682),
        core=Counts(99_287, 943, 1_349),
        format="u.data",
        files=("ml-100k/u.data",),
        table2=Counts(100_000, 943, 1_682),
    ),
    Entry(
        name="ml-1m",
        title="ML-1M",
        intensity="rating given by the user",
        unit="stars, 1 to 5",
        licence=_MOVIELENS_LICENCE,
        citation="harper2015movielens",
        url=f"{_GROUPLENS}/movielens/ml-1m.zip",
        sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        raw=Counts(1_000_209, 6_040, 3_706),
        core=Counts(999_611, 6_040, 3_416),
        format="ratings.dat",
        files=("ml-1m/ratings.dat",),
        table2=Counts(1_000_209, 6_040, 3_706),
        note="The mirror's file gives the published SASRec order; times of 58 % of the rows.",
    ),
)


def _amazon(name: str, title: str, category: str, size: Counts, **more: object) -> Entry:
    """Return one Amazon 2014 category; its official file is 5-core already."""
    file = f"reviews_{category}_5.json.gz"
    return Entry(
        name=name,
        title=title,
        intensity="rating given by the user",
        unit="stars, 1 to 5",
        licence=_UCSD_LICENCE,
        citation="mcauley2015image",
        url=f"{_AMAZON}/{file}",
        raw=size,
        core=size,
        format="amazon-json",
        files=(file,),
        **more,
    )


_AMAZONS = (
    _amazon(
        "amazon-music",
        "Amazon-Music",
        "Digital_Music",
        Counts(64_706, 5_541, 3_568),
        table2=Counts(64_706, 5_541, 3_568),
        mirror=Mirror(title="Amazon-Music (timestamped half)", core=Counts(30_019, 1_693, 1_696)),
        note="The mirror's file has times for half of the rows and no full order: a chronological "
        "run uses the timestamped half.",
    ),
    _amazon(
        "amazon-office",
        "Amazon-Office",
        "Office_Products",
        Counts(53_258, 4_905, 2_420),
        table2=Counts(53_258, 4_905, 2_420),
        note="The mirror's file gives a full order; times of 55 % of the rows.",
    ),
    _amazon(
        "beauty",
        "Amazon-Beauty",
        "Beauty",
        Counts(198_502, 22_363, 12_101),
        note="The 5-core version most papers use, not [AE]'s single-pass one. The mirror's file "
        "has no intensity.",
        mirror=Mirror(intensity=False),
    ),
    _amazon(
        "sports",
        "Amazon-Sports",
        "Sports_and_Outdoors",
        Counts(296_337, 35_598, 18_357),
        note="The 5-core version most papers use, not [AE]'s single-pass one. The mirror's file "
        "has no intensity.",
        mirror=Mirror(intensity=False),
    ),
    _amazon(
        "video",
        "Amazon-Video-Games",
        "Video_Games",
        Counts(231_780, 24_303, 10_672),
        mirror=Mirror(raw=Counts(287_107, 31_013, 23_715), intensity=False),
        note="The mirror's file is [AE]'s single-pass one, with an order and no intensity.",
    ),
    Entry(
        name="amazon-herec",
        title="Amazon (HERec)",
        intensity="rating given by the user",
        unit="stars, 1 to 5",
        licence="published with HERec, no licence given; research use with citation",
        citation="shi2019herec",
        homepage="https://github.com/librahu/HIN-Datasets-for-Recommendation-and-Network-Embedding",
        raw=Counts(195_791, 6_170, 2_753),
        core=Counts(195_773, 6_170, 2_746),
        note="An extra beside the papers' datasets; times are whole days.",
    ),
)

_STEAM_REVIEWS = Entry(
    name="steam",
    title="Steam",
    intensity="hours played when the review was written",
    unit="hours",
    licence=_UCSD_LICENCE,
    citation="kang2018sasrec",
    url="https://cseweb.ucsd.edu/~wckang/steam_reviews.json.gz",
    format="steam-reviews",
    files=("steam_reviews.json.gz",),
    note="Drawn like [IA]'s sample, but not the same users: it gives neither seed nor pool.",
)

_STEAMS = (
    *(
        replace(
            _STEAM_REVIEWS,
            name=f"steam-{thousands}k",
            title=f"Steam-{thousands}k",
            preparation=Preparation(subsample=1_000 * thousands),
            table2=published,
        )
        for thousands, published in (
            (3, Counts(39_450, 3_000, 5_754)),
            (8, Counts(101_210, 8_000, 8_110)),
            (15, Counts(187_004, 15_000, 9_446)),
        )
    ),
    Entry(
        name="steam-au",
        title="Steam-AU",
        intensity="total play time when the profile was crawled",
        unit="minutes",
        licence=_UCSD_LICENCE,
        citation="pathak2017steam",
        homepage="https://cseweb.ucsd.edu/~jmcauley/datasets.html#steam_data",
        format="steam-au",
        files=("australian_user_reviews.json.gz", "australian_users_items.json.gz"),
        raw=Counts(59_305, 25_458, 3_682),
        core=Counts(3_740, 656, 215),
        note="A small substitute with a heavy tail; it is none of [IA]'s Steam samples. Times are "
        "whole days, and play time is of the crawl, after the review: it knows the future.",
    ),
    Entry(
        name="steam-200k",
        title="Steam-200K",
        intensity="hours played",
        unit="hours",
        licence="no licence given; research use",
        homepage="https://www.kaggle.com/datasets/tamber/steam-video-games",
        raw=Counts(70_489, 11_350, 3_600),
        chronological=False,
        note="No chronology: for diagnostics of intensity and popularity only.",
    ),
)

_HETREC = Entry(
    name="lastfm-tagged",
    title="Last.FM (tagged)",
    intensity="plays of the artist",
    unit="plays",
    licence="GroupLens and Last.FM: non-commercial use with citation",
    citation="cantador2011hetrec",
    url=f"{_GROUPLENS}/hetrec2011/hetrec2011-lastfm-2k.zip",
    raw=Counts(15_674, 1_362, 2_975),
    core=Counts(10_285, 769, 728),
    format="hetrec-tagged",
    files=("user_artists.dat", "user_taggedartists-timestamps.dat"),
    time_unit="ms",
    note="Play counts have no time; ordered by the user's first tag of the artist. A few tag times "
    "are impossible.",
)

_OTHERS = (
    _HETREC,
    replace(
        _HETREC,
        name="lastfm-listens",
        title="Last.FM (listens)",
        raw=Counts(92_834, 1_892, 17_632),
        core=None,
        format="hetrec-listens",
        files=("user_artists.dat",),
        time_unit="s",
        chronological=False,
        note="No chronology: for diagnostics of intensity and popularity only.",
    ),
    Entry(
        name="lastfm",
        title="Last.FM (MIQ-Attn)",
        intensity=None,
        unit=None,
        licence="GroupLens and Last.FM: non-commercial use with citation",
        citation="cantador2011hetrec",
        raw=Counts(52_551, 1_090, 3_646),
        core=Counts(52_551, 1_090, 3_646),
        note="Order of an earlier preparation; neither times nor intensity.",
    ),
    Entry(
        name="yelp",
        title="Yelp 2020",
        intensity=None,
        unit=None,
        licence="Yelp dataset terms: academic use, no redistribution; a form gives access",
        homepage="https://www.yelp.com/dataset",
        raw=Counts(316_354, 30_431, 20_033),
        core=Counts(292_017, 28_330, 18_775),
        note="The 2020 version; [AE] reports 31,371 users and 36,616 items.",
    ),
    Entry(
        name="synthetic",
        title="Synthetic log",
        intensity="heavy-tailed time spent",
        unit="minutes",
        licence="generated by seqattn; no restriction",
    ),
)

_ALL = (*_MOVIELENS, *_AMAZONS, *_STEAMS, *_OTHERS)
CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _ALL}
