"""Recommenders in closed form: nothing is sampled, and deletion is an update of the solution."""

from __future__ import annotations

from recsys.closed_form.als import ImplicitAls
from recsys.closed_form.base import ClosedForm, closed_form, registered
from recsys.closed_form.ease import Ease
from recsys.closed_form.graph_filter import GraphFilter

__all__ = ["ClosedForm", "Ease", "GraphFilter", "ImplicitAls", "closed_form", "registered"]
