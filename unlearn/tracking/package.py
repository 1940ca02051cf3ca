"""A stored model as an MLflow pyfunc: a code file, safetensors and a manifest; nothing pickled."""

from __future__ import annotations

import json
import warnings
from importlib.metadata import version
from pathlib import Path

FLAVOR = Path(__file__).with_name("flavor.py")


def package(directory: Path, target: Path, *, model_id: str, run_id: str) -> Path:
    """Write the pyfunc of the model in `directory` to `target`, which must not exist yet.

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
    with warnings.catch_warnings():
        # An example of the input would be somebody's id.
        warnings.filterwarnings("ignore", message=".*An input example was not provided")
        mlflow.pyfunc.save_model(
            path=str(target),
            python_model=str(FLAVOR),
            artifacts={"model": str(directory)},
            signature=signature,
            mlflow_model=Model(run_id=run_id, model_id=model_id),
            # Named, not inferred: inference would load the model in a second process.
            pip_requirements=[f"unlearn-recsys=={version('unlearn-recsys')}"],
        )
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
