"""Injecting per-interaction intensity into the attention of sequential recommenders."""

from seqattn import stats
from seqattn.data import load_dataset
from seqattn.errors import SeqattnError
from seqattn.models import build_model
from seqattn.runs import store
from seqattn.runs.export import load

__all__ = ["SeqattnError", "build_model", "load", "load_dataset", "stats", "store"]
__version__ = "0.1.0"
