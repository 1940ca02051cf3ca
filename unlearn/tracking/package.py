"""A stored model as an MLflow pyfunc: a code file, safetensors and a manifest; nothing pickled.

MLflow makes a pyfunc from copies of its files, in temporary folders that a killed process leaves behind. So it is made
of none of a model's own, which the caller lays into it in the store.
"""

from __future__ import annotations

import json
import warnings
from importlib.metadata import version
from pathlib import Path

FLAVOR = Path(__file__).with_name("flavor.py")
STORED = "artifacts/model"
"""Where the stored model lies in the pyfunc."""


def package(directory: Path, scratch: Path, *, model_id: str, run_id: str) -> Path:
    """Write the pyfunc of the model in `directory` into `scratch`, but for that model's files, which go to `STORED`.

    `directory` holds `manifest.json`, whose `loader` names the function that reads the rest (see `flavor.py`).

    Raises:
        ValueError: what `directory` lacks.
    """
    _check(directory)
    with warnings.catch_warnings():
        # MLflow warns of its own types while it is imported.
        warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType")
        import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    # Ids are integers for one data set and text for another.
    signature = ModelSignature(
        inputs=Schema([ColSpec(AnyType(), "user_id")]),
        outputs=Schema(
            [
                ColSpec(AnyType(), "user_id"),
                ColSpec(AnyType(), "item_id"),
                ColSpec(DataType.double, "score"),
                ColSpec(DataType.long, "rank"),
            ]
        ),
        params=ParamSchema([ParamSpec("k", DataType.long, 10), ParamSpec("unknown", DataType.string, "raise")]),
    )
    (stub := scratch / "model").mkdir()
    (stub / "manifest.json").touch()
    model, target = Model(run_id=run_id, model_id=model_id), scratch / "packed"
    with warnings.catch_warnings():
        # An example of the input would be somebody's id.
        warnings.filterwarnings("ignore", message=".*An input example was not provided")
        mlflow.pyfunc.save_model(
            path=str(target),
            python_model=str(FLAVOR),
            artifacts={"model": str(stub)},
            signature=signature,
            mlflow_model=model,
            # Named, not inferred: inference would load the model in a second process.
            pip_requirements=[f"unlearn-recsys=={version('unlearn-recsys')}"],
        )
    model.model_size_bytes = sum(file.stat().st_size for file in (*directory.rglob("*"), *target.rglob("*")))
    model.save(target / "MLmodel")
    return target


def _check(directory: Path) -> None:
    manifest = directory / "manifest.json"
    problems: list[str] = []
    if not manifest.is_file():
        problems.append("manifest.json is missing")
    elif not isinstance(json.loads(manifest.read_text("utf-8")).get("loader"), str):
        problems.append("manifest.json must name its `loader`, as in 'recsys.store:load_ranker'")
    if directory.is_dir():
        programs = sorted(p.name for p in directory.rglob("*") if p.suffix in {".pkl", ".pickle", ".pt", ".pth", ".py"})
        problems += [f"{name} may run code when loaded: keep tensors as safetensors" for name in programs]
    if problems:
        head = "`directory` must hold a stored model for `model`:"
        raise ValueError("\n".join([head, *(f"- {problem}" for problem in problems)]))
