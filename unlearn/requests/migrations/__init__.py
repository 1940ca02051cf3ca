"""Migrations of the ledger's tables, run by `unlearn.requests.database`."""
