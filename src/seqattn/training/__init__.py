"""Batches, fits, and the cells that keep them."""
