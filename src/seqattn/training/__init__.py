"""Batches, loss, fits and ranks; nothing here reads or writes a disk."""
