"""Every number that the exam's answers give is computed here, from the question's own numbers.

Results stand in bold on the page of answers; each answer's are compared with the list below.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from seqattn.analysis.attention import l1_l2
from seqattn.files import ROOT
from seqattn.models.reference import attention, intensity_matrix
from seqattn.stats.metrics import metric
from seqattn.stats.significance import benjamini_hochberg, holm, paired_t, tost_paired
from seqattn.training.ranking import _ranks

APPENDIX = ROOT / "book" / "appendix"


def numbered(page: str, word: str) -> dict[int, str]:
    """Return the text after each bold ``Question 3.`` up to the next, without headings."""
    text = re.sub(r"^## .*", "", (APPENDIX / page).read_text(encoding="utf-8"), flags=re.M)
    parts = re.split(rf"\*\*{word} (\d+)\.\*\*", text)
    return {int(number): body for number, body in zip(parts[1::2], parts[2::2], strict=True)}


QUESTIONS = numbered("exam.md", "Question")
GIVEN_ANSWERS = numbered("exam_answers.md", "Answer")


def given(question: int, *numbers: float) -> tuple[float, ...]:
    """Return numbers after a look whether the question names them."""
    text = QUESTIONS[question].replace(",", "")
    told = {float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)}
    assert set(numbers) <= told, (question, numbers)
    return numbers


def entropies() -> list[str]:
    shares = (*given(2, 50, 25), 25)
    return [f"{entropy(c, base=2):g}" for c in (shares, (1, 1, 1, 1))]


def softmax_weights() -> list[str]:
    weights = torch.softmax(torch.tensor([0, np.log(given(4, 3)[0]), -np.inf]), 0)
    return [f"{w:g}" for w in weights.numpy().round(12)]


def even_maps() -> list[str]:
    (n,) = given(5, 4)
    causal = np.tri(n) / np.arange(1, n + 1)[:, None]
    return [
        text
        for a in (np.full((n, n), 1 / n), causal)
        for text in (f"{float(l1_l2(a)):.3f}", f"{np.linalg.matrix_rank(a)}")
    ]


def injected_weights() -> list[str]:
    """Values that are unit vectors make the context of the last query its weights."""
    m, lam = torch.tensor([[1.0, 0.0], list(given(7, 1, 0.5))]), given(7, 1)[0]
    zero, unit = torch.zeros(2, 2), torch.eye(2)
    rows = {p: attention(zero, zero, unit, m, lam, p)[-1] for p in ("add", "mul", "val")}
    return [f"{w:.3f}" for row in rows.values() for w in row] + [f"{rows['val'].sum():.3f}"]


def normalised() -> list[str]:
    m = intensity_matrix(torch.tensor(given(8, 3, 1, 15), dtype=torch.float64), "log1p_minmax")
    return [f"{m[q, k]:.4g}" for q in range(3) for k in range(q + 1)]


def turning_point() -> list[str]:
    (lam,) = given(9, 3)
    return [f"{1 - 1 / lam:.3f}"]


def metrics() -> list[str]:
    ranks = np.array(given(11, 1, 2, 7, 15))
    return [f"{metric(ranks, name, 10).mean():.3f}" for name in ("Recall", "NDCG", "MRR")]


def tied_rank() -> list[str]:
    higher, ties = given(12, 5, 20)
    scores = torch.tensor([[1.0] * (ties + 1) + [2.0] * higher + [0.0] * 7])
    return [f"{int(_ranks(scores, torch.tensor([[0]])))}", f"{1 + higher}"]


def sampled_rank() -> list[str]:
    items, rank, drawn = given(13, 2000, 101, 99)
    return [f"{1 + drawn / (items - 1) * (rank - 1):.2f}"]


def seeds_t() -> list[str]:
    d = np.array((*given(15, 0.006, 0.002, 0.004), 0.004, 0.004))
    t = paired_t(np.zeros(5), d).t
    assert t > given(15, 2.776)[0]
    return [f"{d.std(ddof=1):.5f}", f"{t:.2f}", f"{t / np.sqrt(5):.2f}"]


def widths() -> list[str]:
    return [f"{np.sqrt(1 + 4 * rho):.2f}" for rho in given(16, 0.25, -0.1)]


def corrected() -> list[str]:
    p = given(17, 0.001, 0.013, 0.02, 0.038, 0.3)
    return [f"{(adjust(p) <= 0.05).sum()}" for adjust in (holm, benjamini_hochberg)]


def equivalence() -> list[str]:
    mean, sd, margin, limit, t_limit = given(18, 0.001, 0.002, 0.003, 2.132, 2.776)
    shape = np.array([-1, -1, 0, 1, 1.0])
    d = mean + sd * shape / shape.std(ddof=1)
    assert tost_paired(np.zeros(5), d, margin).equivalent
    error = sd / np.sqrt(5)
    t = paired_t(np.zeros(5), d).t
    sides = ((mean + margin) / error, (margin - mean) / error)
    assert min(sides) > limit and t < t_limit
    return [f"{error:.6f}", *(f"{side:.2f}" for side in sides), f"{t:.2f}"]


def two_searches() -> list[str]:
    own, on_own, control, variant = given(20, 0.1, 0.101, 0.107, 0.11)
    pairs = ((own, variant), (own, control), (own, on_own), (control, variant))
    steps, rate, epoch = given(20, 30, 0.001, 8)
    reach = steps * rate * epoch
    assert given(20, 0.85)[0] > 1 - reach
    return [f"{100 * (new / old - 1):+.1f}" for old, new in pairs] + [f"{reach:.2f}"]


COMPUTED: dict[int, Callable[[], list[str]]] = {
    2: entropies,
    4: softmax_weights,
    5: even_maps,
    7: injected_weights,
    8: normalised,
    9: turning_point,
    11: metrics,
    12: tied_rank,
    13: sampled_rank,
    15: seeds_t,
    16: widths,
    17: corrected,
    18: equivalence,
    20: two_searches,
}


def test_there_is_an_answer_to_each_of_the_twenty_one_questions():
    assert list(QUESTIONS) == list(GIVEN_ANSWERS) == list(range(1, 22))


@pytest.mark.parametrize("number", range(1, 22))
def test_every_result_in_an_answer_is_computed(number):
    told = re.findall(r"\*\*([^*]+)\*\*", GIVEN_ANSWERS[number])
    assert told == (COMPUTED[number]() if number in COMPUTED else [])


def test_a_question_that_lacks_a_number_is_noticed():
    with pytest.raises(AssertionError):
        given(11, 3)


def test_game_2_overtakes_game_1_under_mul_where_the_lecture_says():
    """The hand example of the page on injection, at the lambda that the plan's answer gives."""
    text = (APPENDIX / "lectures.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"They meet at \$\\lambda = \\tfrac(\d)(\d)\$", text)
    lam = int(told[0]) / int(told[1])
    m = intensity_matrix(torch.tensor([1.0, 7.0, 3.0], dtype=torch.float64), "log1p_minmax")[-1]
    first, second, _ = torch.tensor([1, 0.5, -1]) * (1 + lam * (m - 1))
    assert first == pytest.approx(second)
