"""The weights of another model that a training starts from: fine-tuning."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import BaseModel
from safetensors.torch import load_file, save_file
from torch import nn

from restorekit.config import Run
from restorekit.errors import RestorekitError
from restorekit.files import write_atomically
from restorekit.models import create_model
from restorekit.models.checkpoint import fill
from restorekit.storage import address_of, fetch_file, local_path, push_file


@dataclass(frozen=True)
class Start:
    """The first weights of a training: a file that every worker reaches, and the digest of the model they are from."""

    weights: Path  # safetensors
    digest: str

    def to_json(self) -> dict[str, Any]:
        return {"weights": address_of(self.weights), "digest": self.digest}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Start":
        return cls(local_path(value["weights"]), value["digest"])

    def fill(self, model: nn.Module) -> None:
        """Puts the weights into `model`, which has been checked by `keep_start`."""
        file = fetch_file(self.weights)
        fill(model, load_file(file), str(file))


def keep_start(spec: Run, run: str, model: nn.Module, record: dict[str, Any], folder: Path) -> Start:
    """Writes the weights of `model` into `folder`, once for each digest, for a training of `spec` to start from.

    `record` is the model's. Optimiser, averages and schedule start anew. Raises RestorekitError where the run's network
    is another one, or of another size.
    """
    what = f"runs.{run}.start_from: {spec.start_from}"
    if record["model"] != spec.model:
        raise RestorekitError(f"{what} is a {record['model']}, and the run trains a {spec.model}: name one of its kind")
    tensors = {key: value.contiguous() for key, value in model.state_dict().items()}
    with torch.device("meta"):  # only names and shapes are compared
        network = create_model(spec.model, **spec.options.model_dump())
    try:
        fill(network, tensors, spec.start_from or "")
    except RestorekitError as error:
        raise RestorekitError(
            f"{what} does not fit the run's network ({error}): give the run its options, "
            f"{_changed(record['options'], network)}"
        ) from error
    kept = Start(folder / f"{record['digest'][:32]}.safetensors", record["digest"])
    if not kept.weights.is_file():
        with write_atomically(kept.weights) as file:
            save_file(tensors, file)
    push_file(kept.weights)
    return kept


def _changed(theirs: dict[str, Any], network: nn.Module) -> str:
    """The options of a model that a run's network has otherwise: `width: 8`."""
    ours = cast(BaseModel, network.options).model_dump(mode="json")
    return ", ".join(f"{name}: {value}" for name, value in theirs.items() if ours.get(name) != value) or "as it was"
