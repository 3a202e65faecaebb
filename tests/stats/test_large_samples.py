"""Wilcoxon rejects a true "equally good" on large samples of skewed differences; t does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from seqattn.errors import SeqattnError
from seqattn.stats.large_samples import null_rejections, skewed_differences


def test_differences_have_mean_zero_a_skewness_of_one_half_and_unchanged_users():
    drawn = skewed_differences(400_000, np.random.default_rng(1))
    changed = drawn[drawn != 0]
    assert len(changed) / len(drawn) == pytest.approx(0.3, abs=0.01)
    assert abs(drawn.mean()) < 4 * drawn.std() / np.sqrt(len(drawn))
    assert stats.skew(changed) == pytest.approx(0.5, abs=0.05)


def test_only_wilcoxons_rate_grows_with_the_number_of_users():
    rates = null_rejections((100, 20_000), replicates=100, n_resamples=300).set_index("users")
    for test in ("t", "bootstrap"):  # five sigma of 100 draws at 5 %
        assert rates[test].max() < 0.16
    assert rates.loc[100, "Wilcoxon"] < 0.16
    assert rates.loc[20_000, "Wilcoxon"] > 0.7


def test_the_same_seed_gives_the_same_rates():
    first, again = (null_rejections((50,), replicates=20, n_resamples=50) for _ in range(2))
    assert first.equals(again)


def test_a_single_user_is_refused():
    with pytest.raises(SeqattnError, match="1 users; give at least 2"):
        null_rejections((1,))


def test_rates_are_those_of_scipys_p_values_at_five_percent():
    n, replicates = 60, 300
    rates = null_rejections((n,), replicates=replicates, n_resamples=50, seed=3).iloc[0]
    generator = np.random.default_rng([3, n])
    drawn = [skewed_differences(n, generator) for _ in range(replicates)]
    t = [stats.ttest_1samp(d_n, 0).pvalue for d_n in drawn]
    wilcoxon = [stats.wilcoxon(d_n[d_n != 0]).pvalue for d_n in drawn]
    assert rates["t"] == np.mean(np.array(t) <= 0.05)
    assert rates["Wilcoxon"] == np.mean(np.array(wilcoxon) <= 0.05)
