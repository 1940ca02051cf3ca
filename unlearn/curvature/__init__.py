"""Curvature of problems: operators, blocks, factors and dampings, for the solvers to work with."""

from unlearn.curvature.adam_damping import adam_damping
from unlearn.curvature.ekfac import EKFAC, ekfac
from unlearn.curvature.gauge import gauge_projection
from unlearn.curvature.gauss_newton import Linearizable, gauss_newton_operator
from unlearn.curvature.operators import fisher_operator, hessian_operator
from unlearn.curvature.records import record_gradients
from unlearn.curvature.rows import RowBlocks, row_blocks

__all__ = [
    "hessian_operator",
    "gauss_newton_operator",
    "fisher_operator",
    "Linearizable",
    "row_blocks",
    "RowBlocks",
    "ekfac",
    "EKFAC",
    "adam_damping",
    "gauge_projection",
    "record_gradients",
]
