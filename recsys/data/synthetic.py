"""Synthetic interactions: heavy-tailed activity and popularity, taste in clusters, ties between people alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys.data.interactions import Interactions
from unlearn.vocabulary import Vocabulary

_YEAR = 365.0 * 24 * 3600
_START = 1.6e9  # seconds since 1970


def synthetic(
    n_users: int = 2_000,
    n_items: int = 1_000,
    n_interactions: int = 60_000,
    *,
    seed: int = 0,
    latent_dim: int = 16,
    n_clusters: int = 40,
    ties_per_user: float = 8.0,
) -> Interactions:
    """Interactions with times and mutual ties; ids are "u000000" and "i000000" and so on.

    P(item | user) = sum_t theta[user, t] phi[t, item], drawn without repetition: theta scatters around the taste of
    the user's cluster, phi is the item's popularity (a power law) times its share of theme t. Activity is log-normal.
    Four ties of five join users of one cluster. The same arguments give the same data.

    Raises:
        ValueError: listing every argument that is out of range.
    """
    _check(n_users, n_items, n_interactions, seed, latent_dim, n_clusters, ties_per_user)
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, n_clusters, n_users)
    tastes = rng.dirichlet(np.full(latent_dim, 1.5 / latent_dim), n_clusters)
    # A gamma draw per theme, normalised, is a Dirichlet draw around the cluster's taste, for all users at once.
    theta = rng.gamma(6.0 * tastes[cluster] + 0.01) + 1e-9
    theta_cdf = np.cumsum(theta / theta.sum(axis=1, keepdims=True), axis=1).astype(np.float32)
    popularity = rng.permutation((np.arange(n_items) + 10.0) ** -0.8)
    shares = rng.gamma(np.full((n_items, latent_dim), 0.08)) + 1e-9
    phi = (popularity[:, None] * shares / shares.sum(axis=1, keepdims=True)).T
    phi_cdf = np.cumsum(phi / phi.sum(axis=1, keepdims=True), axis=1)
    activity = _activity(rng, n_users, n_items, n_interactions)
    key = _draw_pairs(rng, activity, theta_cdf, phi_cdf)
    return Interactions(
        users=_vocabulary("u", n_users),
        items=_vocabulary("i", n_items),
        indptr=np.concatenate([[0], np.cumsum(activity)]).astype(np.int64),
        indices=key % n_items,
        time=_START + np.floor(rng.random(len(key)) * _YEAR),
        ties=_ties(rng, cluster, round(n_users * ties_per_user / 2)),
    )


def _vocabulary(letter: str, size: int) -> Vocabulary:
    # Equal widths keep text order and row order the same.
    width = max(6, len(str(size - 1)))
    return Vocabulary([f"{letter}{row:0{width}d}" for row in range(size)])


def _activity(rng: np.random.Generator, n_users: int, n_items: int, total: int) -> NDArray[np.int64]:
    """Log-normal numbers of interactions [n_users] that add up to `total`, none above half of the items."""
    least, most = min(5, total // n_users), n_items // 2
    raw = np.exp(rng.normal(0.0, 0.8, n_users))
    wanted = least + (total - least * n_users) * raw / raw.sum()
    activity = np.clip(np.floor(wanted), least, most).astype(np.int64)
    while (short := total - int(activity.sum())) > 0:
        room = rng.permutation(np.flatnonzero(activity < most))
        activity[room[:short]] += 1
    return activity


def _draw_pairs(
    rng: np.random.Generator, activity: NDArray[np.int64], theta_cdf: NDArray[np.float32], phi_cdf: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Ascending keys user * n_items + item [sum of activity], drawn in rounds: repetitions are drawn again."""
    n_themes, n_items = phi_cdf.shape
    everyone = np.arange(len(activity))
    keys = np.zeros(0, dtype=np.int64)
    missing = activity
    for _ in range(30):
        user = np.repeat(everyone, missing)
        theme = (rng.random(len(user), dtype=np.float32)[:, None] > theta_cdf[user]).sum(axis=1)
        theme = np.minimum(theme, n_themes - 1)
        draw = rng.random(len(user))
        item = np.empty(len(user), dtype=np.int64)
        for t in range(n_themes):
            chosen = theme == t
            item[chosen] = np.searchsorted(phi_cdf[t], draw[chosen], side="right")
        # Rounding may leave the last step of a distribution function just below one.
        keys = np.sort(np.concatenate([keys, user * n_items + np.minimum(item, n_items - 1)]), kind="stable")
        keys = keys[np.diff(keys, prepend=-1) > 0]
        missing = activity - np.bincount(keys // n_items, minlength=len(activity))
        if not missing.any():
            return keys
    # Users who have used up their themes take the rest from what they have not seen.
    extra: list[NDArray[np.int64]] = []
    for user in np.flatnonzero(missing):
        low, high = np.searchsorted(keys, (user * n_items, (user + 1) * n_items))
        unseen = np.setdiff1d(np.arange(n_items), keys[low:high] - user * n_items)
        extra.append(user * n_items + rng.choice(unseen, missing[user], replace=False))
    return np.sort(np.concatenate([keys, *extra]))


def _ties(rng: np.random.Generator, cluster: NDArray[np.int64], n_pairs: int) -> NDArray[np.int64]:
    """About `n_pairs` mutual ties as sorted directed pairs [2 * pairs, 2]; sociability is heavy-tailed."""
    n_users = len(cluster)
    appeal = np.exp(rng.normal(0.0, 0.8, n_users))
    by_cluster = np.argsort(cluster, kind="stable")
    ends = np.cumsum(np.bincount(cluster, minlength=int(cluster.max()) + 1))
    reach = np.concatenate([[0.0], np.cumsum(appeal[by_cluster])])
    source = np.searchsorted(np.cumsum(appeal), rng.random(n_pairs) * appeal.sum())
    source = np.minimum(source, n_users - 1)
    alike = rng.random(n_pairs) < 0.8
    first = np.where(alike, np.concatenate([[0], ends])[cluster[source]], 0)
    last = np.where(alike, ends[cluster[source]], n_users)
    at = reach[first] + rng.random(n_pairs) * (reach[last] - reach[first])
    target = by_cluster[np.clip(np.searchsorted(reach, at, side="right") - 1, 0, n_users - 1)]
    kept = source != target
    pairs = np.column_stack([source[kept], target[kept]])
    return np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0).astype(np.int64)


def _check(
    n_users: int, n_items: int, n_interactions: int, seed: int, latent_dim: int, n_clusters: int, ties_per_user: float
) -> None:
    sizes = {"n_users": n_users, "n_items": n_items, "latent_dim": latent_dim, "n_clusters": n_clusters}
    problems = [
        f"`{name}` must be a positive integer for `synthetic` (got {value})"
        for name, value in sizes.items()
        if value < 1
    ]
    most = n_users * (n_items // 2)
    if not n_users <= n_interactions <= most:
        problems.append(
            f"`n_interactions` must lie between one a user and half of the items a user for `synthetic`, "
            f"here {n_users} to {most} (got {n_interactions})"
        )
    if seed < 0:
        problems.append(f"`seed` must be at least 0 for `synthetic` (got {seed})")
    if not 0 <= ties_per_user < n_users:
        problems.append(f"`ties_per_user` must lie between 0 and n_users for `synthetic` (got {ties_per_user})")
    if problems:
        raise ValueError("\n".join(problems))
