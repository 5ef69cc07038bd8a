"""Ablations: runs with one setting changed, for several data sets and seeds, from one short section per model."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StrictInt, ValidationError

from restorekit.config.run import Run, train_layered
from restorekit.config.strict import Name, Strict


class Variant(Strict):
    """The settings that one variant changes in a run."""

    options: dict[str, Any] = Field(default_factory=dict)
    objective: dict[str, Any] = Field(default_factory=dict)


class Ablations(Strict):
    """The variants of one model; the other variants are compared with the first."""

    datasets: Annotated[tuple[str, ...], Field(min_length=1)]  # data sets of the changed runs `<model>-<data set>`
    seeds: Annotated[tuple[Annotated[StrictInt, Field(ge=0)], ...], Field(min_length=1)]  # added to the file's seed
    objective: dict[str, Any] = Field(default_factory=dict)  # shared by all variants
    train: dict[str, Any] = Field(default_factory=dict)  # shared by all variants
    variants: Annotated[dict[Name, Variant], Field(min_length=1)]

    def runs(self, model: str, bases: Mapping[str, Run]) -> dict[str, Run]:
        """Every run by name, `<model>-<data set>--<variant>-<seed>`; a ValueError names a wrong setting.

        All other settings come from the run `<model>-<data set>` in `bases`. A base run that the user has deleted has
        no ablations.
        """
        made = {}
        for base in (f"{model}-{dataset}" for dataset in self.datasets):
            for name, variant in self.variants.items() if base in bases else ():
                for seed in self.seeds:
                    try:
                        made[f"{base}--{name}-{seed}"] = self._run(bases[base], variant, seed)
                    except ValidationError as error:
                        what = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
                        raise ValueError(f"ablations.{model}.variants.{name} of {base}: {what}") from None
        return made

    def _run(self, base: Run, variant: Variant, seed: int) -> Run:
        settings = base.model_dump(exclude_unset=True)
        settings["options"] = {**settings.get("options", {}), **variant.options}
        settings["objective"] = {**settings.get("objective", {}), **self.objective, **variant.objective}
        settings["train"] = train_layered(settings.get("train", {}), self.train)
        files = {name.partition(".")[2] for name in base.weight_files}
        unchanged = base.options.model_dump()
        starts_as = {name: unchanged[name] for name in variant.options if name in unchanged and name not in files}
        return type(base).model_validate({**settings, "seed": seed, "starts_as": starts_as})
