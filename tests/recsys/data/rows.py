"""Interactions as a test compares them."""

from __future__ import annotations


def rows(data):
    return list(data.frame().itertuples(index=False, name=None))
