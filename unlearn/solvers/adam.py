"""Adam on one vector.

Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2014, arXiv 1412.6980. `torch.optim` would do, but its
first use imports the compiler (over a second), more than most of the work that is done here.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Adam:
    """m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, x -= lr m' / (sqrt(v') + eps).

    m' = m / (1 - b1^t) and v' = v / (1 - b2^t) are free of the bias of starting at zero.
    """

    beta1, beta2, epsilon = 0.9, 0.999, 1e-8

    def __init__(self, like: Tensor, *, lr: float) -> None:
        self.lr = lr
        self._mean, self._square, self._scratch = (torch.zeros_like(like) for _ in range(3))
        self._steps = 0

    def step(self, x: Tensor, gradient: Tensor) -> None:
        """Move `x` [p] one step against `gradient` [p], in place."""
        self._steps += 1
        self._mean.lerp_(gradient, 1 - self.beta1)
        self._square.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        torch.sqrt(self._square, out=self._scratch)
        self._scratch.div_((1 - self.beta2**self._steps) ** 0.5).add_(self.epsilon)
        x.addcdiv_(self._mean, self._scratch, value=-self.lr / (1 - self.beta1**self._steps))
