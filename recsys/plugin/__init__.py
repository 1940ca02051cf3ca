"""The recommender as a target of the deletion-request service: what the entry point `unlearn.targets` names.

A workspace that `unlearn train` made is the published version. Beside it lies a folder with what else there is: whom to
answer no more, the sealed interactions of batches that are not purged, and staged models.

    [targets.recsys]
    workspace = "model"                  # the folder that `unlearn train` made
    identity_type = "controller_customer_id"   # by which its users are known
    method = "reconverge:accuracy=0.05"   # default: the first of native, this and two_level that fits the model
    tracking = "mlflow.db"               # default: none; an MLflow store, in which each published version is champion
    registered_model = "recommender"     # its name there, and that of an experiment which is the service's own
    old_versions = "destroy"             # or "record": figures and digests of replaced versions stay, weights never
    device = "cpu"                       # or "cuda": where unlearning, retraining and verification compute
"""

from __future__ import annotations

from recsys.plugin.serving import Recommendations, Serving
from recsys.plugin.target import RecommenderTarget, target

__all__ = ["Recommendations", "RecommenderTarget", "Serving", "target"]
