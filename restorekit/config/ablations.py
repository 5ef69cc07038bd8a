"""Ablations: runs of params.yaml with one thing changed, for several seeds, from one short section a model."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StrictInt, ValidationError

from restorekit.config.run import Run
from restorekit.config.strict import Name, Strict
from restorekit.errors import unknown_name


class Variant(Strict):
    """What one variant has different from the run that it is made of."""

    options: dict[str, Any] = Field(default_factory=dict)
    objective: dict[str, Any] = Field(default_factory=dict)


class Ablations(Strict):
    """The variants of one model; the first is what the others are held to."""

    datasets: Annotated[tuple[str, ...], Field(min_length=1)]  # of the runs `<model>-<data set>` that are changed
    seeds: Annotated[tuple[Annotated[StrictInt, Field(ge=0)], ...], Field(min_length=1)]  # added to the file's seed
    objective: dict[str, Any] = Field(default_factory=dict)  # of every variant
    train: dict[str, Any] = Field(default_factory=dict)  # of every variant
    variants: Annotated[dict[Name, Variant], Field(min_length=1)]

    def runs(self, model: str, bases: Mapping[str, Run]) -> dict[str, Run]:
        """Every run by its name, `<model>-<data set>--<variant>-<seed>`; a ValueError names what cannot be.

        Settings that are not named are those of the run `<model>-<data set>` in `bases`.
        """
        made = {}
        for dataset in self.datasets:
            base = bases.get(f"{model}-{dataset}")
            if base is None:
                raise ValueError(f"ablations.{model}.datasets: {unknown_name('run', f'{model}-{dataset}', bases)}")
            for name, variant in self.variants.items():
                for seed in self.seeds:
                    try:
                        made[f"{model}-{dataset}--{name}-{seed}"] = self._run(base, variant, seed)
                    except ValidationError as error:
                        what = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
                        raise ValueError(f"ablations.{model}.variants.{name} of {model}-{dataset}: {what}") from None
        return made

    def _run(self, base: Run, variant: Variant, seed: int) -> Run:
        settings = base.model_dump(exclude_unset=True)
        settings["options"] = {**settings.get("options", {}), **variant.options}
        settings["objective"] = {**settings.get("objective", {}), **self.objective, **variant.objective}
        settings["train"] = {**settings.get("train", {}), **self.train}
        files = {name.partition(".")[2] for name in base.weight_files}
        unchanged = base.options.model_dump()
        starts_as = {name: unchanged[name] for name in variant.options if name in unchanged and name not in files}
        return type(base).model_validate({**settings, "seed": seed, "starts_as": starts_as})
