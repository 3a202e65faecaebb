"""Is a variant better than its baseline? Tests, intervals and verdicts on plain arrays.

Every function takes numpy arrays and returns floats, arrays or a frozen dataclass. Arrays of seed
means have shape (S,), arrays of per-user metrics (S, U), for S seeds and U users; the same seed and
the same user sit at the same place in both arrays. Nothing here draws, reads files or knows
about models.
"""

# ruff: noqa: F401  (names are handed on)

from seqattn.stats.bootstrap import bootstrap_means, bootstrap_p_value, percentile_interval
from seqattn.stats.criterion import DualCriterion, dual_criterion, dual_criterion_table, is_robust
from seqattn.stats.significance import benjamini_hochberg, holm, paired_t, tost_paired, wilcoxon
