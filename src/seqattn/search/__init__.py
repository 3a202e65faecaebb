"""Searches for hyperparameters: how one is made, what is kept of it, and what it found."""
