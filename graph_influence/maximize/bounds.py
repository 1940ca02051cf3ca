"""How many reverse-reachable sets are enough, and what coverage proves about spread.

Natural logarithms throughout; n is the number of people who are there. A set is hit by S with probability sigma(S) / n
(Borgs et al., "Maximizing social influence in nearly optimal time", 2014, arXiv 1212.0884), so coverage counts are
sums of bounded martingale differences, whose tails both bounds invert: sets may be added in rounds.
"""

from __future__ import annotations

from math import ceil, exp, inf, lgamma, log, log2, pi, sqrt

GREEDY = 1.0 - exp(-1.0)  # what k greedy picks reach of the best k
LEAST_EPS = 1e-9  # the sets that prove less are more than there can be, and in the end no number
LEAST_DELTA = 1e-300  # of what is rarer, ln(1 / delta) is none


def log_binomial(n: int, k: int) -> float:
    """ln of the number of ways to choose k of n; 0 where k is at least n (then there is one)."""
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) if k < n else 0.0


def spread_below(covered: int, sets: int, n: int, log_inverse: float) -> float:
    """What the spread of a seed set exceeds, from the sets that it covers and that it was not chosen by.

    ((sqrt(L + 2a/9) - sqrt(a/2))^2 - a/18) n / theta, with L of theta sets `covered` and a = `log_inverse` = ln(1 / p)
    for a failure probability p; 0 where the inner difference is negative. Tang, Tang, Xiao and Yuan, "Online
    processing algorithms for influence maximization" (2018), equation 8.
    """
    root = sqrt(covered + 2 * log_inverse / 9) - sqrt(log_inverse / 2)
    return max(root * root - log_inverse / 18, 0.0) * n / sets if root > 0 else 0.0


def spread_above(covered: float, sets: int, n: int, log_inverse: float) -> float:
    """What the spread of any seed set stays below that covers at most `covered` of theta sets fixed before it.

    (sqrt(L + a/2) + sqrt(a/2))^2 n / theta, at most n; a as in `spread_below`.
    """
    root = sqrt(covered + log_inverse / 2) + sqrt(log_inverse / 2)
    return min(root * root / sets, 1.0) * n


def sets_enough(n: int, ratio: float, log_choices: float, optimum: float, eps: float, delta: float) -> float:
    """Sets after which a greedy of approximation `ratio` is within `eps` of it, with probability 1 - delta / 3.

    2 n (ratio sqrt(ln(6 / delta)) + sqrt(ratio (Q + ln(6 / delta))))^2 / (eps^2 OPT), with Q = `log_choices` the
    logarithm of the number of feasible seed sets and `optimum` at most OPT. OPIM-C has ratio 1 - 1/e, Q = ln C(n, k)
    and OPT >= k (Tang et al. 2018, lemma 6.1); capacity constraints have ratio 1/2 (Zhang et al., "Capacity
    constrained influence maximization in social networks", KDD 2023).
    """
    tail = log(6 / delta)
    return 2 * n * (ratio * sqrt(tail) + sqrt(ratio * (log_choices + tail))) ** 2 / (eps * eps * optimum)


def doublings(most: float, first: float) -> int:
    """Rounds i_max = ceil(log2(most / first)), at least 1.

    In the last one there are first 2^(i_max - 1) sets, at least half of `most`; those that choose, four times as many
    (`Collections`), have passed it.
    """
    return max(1, ceil(log2(most / first)))


def spent(delta: float, look: int) -> float:
    """ln(1 / p) for each of the two bounds of the `look`-th look (from 1), where nobody knows how many there will be.

    Looks spend delta_t = 6 delta / (pi^2 t^2), which sum to delta; each bound has half of it.
    """
    return log(2 * (pi * look) ** 2 / (6 * delta))


def imm_search(n: int, k: int, eps: float, exponent: float) -> float:
    """lambda' of IMM: lambda' / x sets decide whether OPT is at least x, `exponent` = l of 1 - n^-l."""
    wide = sqrt(2) * eps
    # log2(n) numbers are tried as x; with one or two people there is one.
    tries = max(log2(n), 1.0)
    return (2 + 2 * wide / 3) * (log_binomial(n, k) + exponent * log(n) + log(tries)) * n / (wide * wide)


def imm_sets(n: int, k: int, eps: float, exponent: float) -> float:
    """lambda* of IMM: lambda* / LB sets are enough where OPT is at least LB."""
    one = sqrt(exponent * log(n) + log(2))
    two = sqrt(GREEDY * (log_binomial(n, k) + exponent * log(n) + log(2)))
    return 2 * n * (GREEDY * one + two) ** 2 / (eps * eps)


def imm_exponent(n: int, k: int, eps: float, exponent: float) -> float:
    """l + g with the least g (to 1e-6) such that ceil(lambda*(l + g)) <= n^g.

    The number of sets that IMM ends with depends on the sets, so its union bound must run over all numbers up to
    lambda*: Chen, "An issue in the martingale analysis of the influence maximization algorithm IMM" (2018, arXiv
    1808.09363), second remedy. It keeps the sets of the search.
    """

    def enough(gap: float) -> bool:
        return log(ceil(imm_sets(n, k, eps, exponent + gap))) <= gap * log(n)

    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, 2 * high
        if high == inf:
            raise ValueError(f"there is no such exponent for n = {n}")
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return exponent + high


def hist_sets(n: int, k: int, sentinels: int, eps: float, delta: float) -> float:
    """Sets after which sentinels and a greedy for the other seeds are within `eps` of what the sentinels allow.

    2 n (sqrt(ln(9 / delta)) + sqrt((1 - 1/e) (ln C(n, k - b) + ln(9 / delta))))^2 / (eps^2 k), b = `sentinels`.
    """
    tail = log(9 / delta)
    root = sqrt(tail) + sqrt(GREEDY * (log_binomial(n, k - sentinels) + tail))
    return 2 * n * root * root / (eps * eps * k)
