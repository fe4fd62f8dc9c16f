"""Hostile and broken packages, each with the sentence that refuses it."""

from tests.unit.mpta.corpus.building import Build
from tests.unit.mpta.corpus.manifests import MANIFESTS
from tests.unit.mpta.corpus.models import MODELS
from tests.unit.mpta.corpus.zips import ZIPS

__all__ = ["CORPUS", "Build"]

#: Sentence to the packages that it refuses, by name.
CORPUS = {**ZIPS, **MANIFESTS, **MODELS}
