"""Questions put to many runs: what is wanted, tidy tables of what there is, and verdicts."""
