"""Attacks and other metrics of an audit, one file each; importing this registers them by name."""

from __future__ import annotations

from unlearn.audit.attacks.base import (
    CannotMeasure,
    Evidence,
    Metric,
    MissingReference,
    TooFew,
    metrics,
    register,
)
from unlearn.audit.attacks.challenge import Challenge
from unlearn.audit.attacks.corrective import Corrective
from unlearn.audit.attacks.epsilon import Epsilon
from unlearn.audit.attacks.f_ine import FINE
from unlearn.audit.attacks.forget_auc import ForgetAUC, RetainAUC
from unlearn.audit.attacks.klom import KLoM, KLoMBins
from unlearn.audit.attacks.one_run import OneRun
from unlearn.audit.attacks.relearn import Relearn
from unlearn.audit.attacks.rmia import RMIA
from unlearn.audit.attacks.swap import Swap
from unlearn.audit.attacks.two_snapshot import TwoSnapshot
from unlearn.audit.attacks.u_lira import Reinsertion, ULiRA

__all__ = [
    "CannotMeasure",
    "Challenge",
    "Corrective",
    "Epsilon",
    "Evidence",
    "FINE",
    "ForgetAUC",
    "KLoM",
    "KLoMBins",
    "Metric",
    "MissingReference",
    "OneRun",
    "RMIA",
    "Reinsertion",
    "Relearn",
    "RetainAUC",
    "Swap",
    "TooFew",
    "TwoSnapshot",
    "ULiRA",
    "metrics",
    "register",
]
