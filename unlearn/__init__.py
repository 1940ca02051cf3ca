"""Unlearning for recommenders and social graphs: it knows neither of the two.

What is to be forgotten (`forget`), the contracts that models fulfil (`problem`) and any torch module can (`hooks`), the
methods (`methods`), evidence of what they reached (`audit`), the sets that are hardest on them (`worst_case`), which
records made an answer (`attribution`), MLflow (`tracking`) and the deletion-request service (`requests`, `target`).
"""
