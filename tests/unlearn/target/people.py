"""Who bought what, with ids of 128 bits."""

from __future__ import annotations

import uuid

import numpy as np

PEOPLE = tuple(uuid.UUID(bytes=np.random.default_rng(5).bytes(16 * (k + 1))[-16:]).hex for k in range(6))
ROWS = [(person, f"thing {(3 * k + step) % 4}") for k, person in enumerate(PEOPLE) for step in range(3)]
