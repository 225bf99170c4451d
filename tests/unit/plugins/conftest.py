"""Lets plain pytest import the collection by its own name, through build/collections."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
COLLECTIONS = ROOT / "build" / "collections"

# ansible-test brings an importer of its own; a checkout has the symlink that make lays.
if COLLECTIONS.joinpath("ansible_collections").is_dir() and str(COLLECTIONS) not in sys.path:
    sys.path.insert(0, str(COLLECTIONS))
