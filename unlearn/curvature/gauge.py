"""Which directions of a problem's parameters only turn its embeddings."""

from __future__ import annotations

import numpy as np
import torch

from unlearn.params import Params, flatten, unflatten
from unlearn.problem import Problem
from unlearn.solvers.gauge import rotation_projection
from unlearn.solvers.operator import Map
from unlearn.streams import normals


def gauge_projection(problem: Problem, params: Params | None = None) -> Map | None:
    """The orthogonal projection [p] -> [p] that takes out the rotations of the embeddings at `params` (default: own).

    All parameters that are matrices of one width are taken for embeddings that turn together. That the objective is
    blind to it is tried, not assumed: at random parameters, its gradient must turn with them (two gradients). None
    where there is no such matrix or the objective sees the turn, as it does through a weight matrix in the model.

    See `unlearn.solvers.gauge.rotation_projection` for the mathematics and the costs.
    """
    params = problem.params if params is None else params
    names = [name for name, value in params.items() if value.dim() == 2 and value.shape[1] > 1]
    if len({params[name].shape[1] for name in names}) != 1 or not _blind_to_rotation(problem, names):
        return None
    inner = rotation_projection(torch.cat([params[name] for name in names]))
    lengths = [len(params[name]) for name in names]

    def project(vector: torch.Tensor) -> torch.Tensor:
        parts = unflatten(vector, params)
        turned = inner(torch.cat([parts[name] for name in names]).reshape(-1)).view(sum(lengths), -1)
        return flatten(parts | dict(zip(names, turned.split(lengths), strict=True)))

    return project


def _blind_to_rotation(problem: Problem, names: list[str]) -> bool:
    params: Params = {}
    for name, value in problem.params.items():
        draw = normals(0, f"gauge/{name}", np.arange(value.numel()))
        params[name] = torch.from_numpy(0.1 * draw).to(value).view(value.shape)
    width = params[names[0]].shape[1]
    square = torch.from_numpy(normals(0, "gauge", np.arange(width)[:, None], np.arange(width)[None, :]))
    rotation = torch.linalg.qr(square).Q.to(params[names[0]])

    def turn(tensors: Params) -> Params:
        return {name: value @ rotation if name in names else value for name, value in tensors.items()}

    gradient = flatten(turn(problem.value_and_gradient(params)[1]))
    turned = flatten(problem.value_and_gradient(turn(params))[1])
    slack = torch.finfo(gradient.dtype).eps ** 0.5
    return bool((gradient - turned).norm() <= slack * gradient.norm())
