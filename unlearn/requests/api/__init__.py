"""The service over HTTP: OpenDSR 2.0, Idempotency-Key, problem documents (RFC 9457), Prometheus metrics.

Differences from OpenDSR: responses are not signed with an X.509 certificate (callbacks are, by Standard Webhooks),
`access` and `portability` are not offered, identities come raw, and what the specification leaves open about repeated
requests is answered by the key.
"""

from __future__ import annotations

from unlearn.requests.api.app import create_app

__all__ = ["create_app"]
