"""Capacity constrained influence maximisation: whom each of many inviters should invite."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from graph_influence.constrained.assignment import NOBODY, Order, assign
from graph_influence.constrained.participants import Participants
from graph_influence.graph import SocialGraph
from graph_influence.maximize.base import InvalidRequest
from graph_influence.maximize.judged import Collections
from graph_influence.maximize.stopping import Stopping
from graph_influence.rrsets import Spread
from graph_influence.rrsets.in_arcs import Model
from unlearn.invalid import Problems
from unlearn.vocabulary import Id

_RATIO = 0.5
