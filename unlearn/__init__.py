"""Unlearning for recommenders and social graphs: methods, audits, tracking; it knows neither of the two."""
