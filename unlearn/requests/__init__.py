"""The deletion-request service: takes requests to be forgotten, has every target serve them, and can show that it did.

`ledger` and what works on it keep requests in a database, `api` takes them in over HTTP, `worker` serves them through
the targets that installed packages offer (`unlearn.target`). Which state follows which is said in `states` alone.
"""
