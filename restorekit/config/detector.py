"""The section `detector`: the training of the network that finds out what is wrong with a photo."""

from typing import Annotated, Literal, Self

from pydantic import Field, StrictInt, model_validator

from restorekit.config.strict import Count, Name, Positive, Share, Strict


class DetectorConfig(Strict):
    """The settings of the detector's training."""

    datasets: dict[Name, Positive] = Field(default_factory=dict)  # data sets, each with its share of the samples
    seed: Annotated[StrictInt, Field(ge=0)] = 0  # added to the seed of all
    steps: Count = 4000
    batch_size: Count = 8  # pairs a step: each a degraded image and its clean twin
    crop: Annotated[StrictInt, Field(ge=64, multiple_of=16)] = 192  # pixels
    width: Annotated[StrictInt, Field(ge=2, le=64)] = 16  # channels of the first layer
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    optimizer: Literal["muon", "adamw"] = "muon"
    lr: Positive = 0.003
    warmup_steps: Annotated[StrictInt, Field(ge=0)] = 50
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.05
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.998
    # A degradation of the first severity, or fainter, counts for nothing; of the second, or stronger, in full.
    faint: tuple[Share, Share] = (0.1, 0.4)
    false_alarms: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05  # most clean images with anything found, as a share
    checkpoint_every: Count = 250
    log_every: Count = 50
    threads: Count = 1

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.faint[0] >= self.faint[1]:
            raise ValueError(f"faint {list(self.faint)} must be [low, high]")
        return self
