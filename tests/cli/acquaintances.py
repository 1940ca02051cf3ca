"""Sixty people with ids of 128 bits, and what is planned for them."""

from __future__ import annotations

import uuid

import numpy as np

PEOPLE = [uuid.UUID(bytes=np.random.default_rng(k).bytes(16)).hex for k in range(60)]
PLAN = ("--k", "4", "--share", "0.8", "--seed", "3")
