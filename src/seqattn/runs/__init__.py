"""Trainings that are kept: the store on disk, fitting what it lacks, runs as arrays and tables."""
