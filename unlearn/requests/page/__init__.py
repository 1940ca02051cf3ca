"""The page: what is in the ledger, for people with a key and a browser, below `/page`.

Rendered here, whole without script; the script adds keys and refreshes what is shown. Nobody's identity is on it: the
ledger has none, and what a request is about is never decrypted for it. Roles are those of the API: `submit` sees and
cancels its own requests, `audit` reads everything, `operate` also lifts holds and retries.
"""

from __future__ import annotations

from unlearn.requests.page.app import create_page

__all__ = ["create_page"]
