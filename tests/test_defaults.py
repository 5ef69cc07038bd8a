"""A training's digest covers settings that differ from their defaults, so a default must not change unnoticed.

Nor must a constant of config/<model>.py, which networks read and the digest does not cover.

`python tests/test_defaults.py` writes the defaults of today into the file beside this one.
"""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from restorekit.config import TrainConfig
from restorekit.config.runs import RUNS
from restorekit.config.strict import DEFAULTS
from restorekit.tasks import MODELS

RECORDED = Path(__file__).with_name("defaults.json")


def sections() -> list[type[BaseModel]]:
    """The sections of the parameters that a training's digest reads."""
    runs = [run.model_fields[name].annotation for run in RUNS.values() for name in ("options", "objective")]
    return [TrainConfig, *runs]  # type: ignore[list-item]


def defaults() -> dict[str, Any]:
    """Every default by `<section>.<option>`, as JSON has it; an option that must be given has none."""
    found: dict[str, Any] = {}
    for section in sections():
        for name, field in section.model_fields.items():
            if field.default is not PydanticUndefined:
                found[f"{section.__name__}.{name}"] = json.loads(json.dumps(field.default))
    for model in MODELS:
        constants = vars(import_module(f"restorekit.config.{model}")).items()
        found |= {f"{model}.{name}": value for name, value in constants if name.isupper() and type(value) is int}
    return found


def test_a_changed_default_changes_the_digest_of_every_training() -> None:
    recorded = json.loads(RECORDED.read_text())
    now = defaults()
    changed = {name for name, value in recorded["defaults"].items() if name in now and now[name] != value}
    remedy = "raise DEFAULTS in restorekit/config/strict.py, then run `python tests/test_defaults.py`"
    assert not changed, f"the defaults of {', '.join(sorted(changed))} changed: {remedy}"
    assert recorded["DEFAULTS"] == DEFAULTS, "run `python tests/test_defaults.py`"


def test_every_default_is_recorded() -> None:
    missing = sorted(defaults().keys() - json.loads(RECORDED.read_text())["defaults"].keys())
    assert missing == [], "new options: run `python tests/test_defaults.py`"


if __name__ == "__main__":
    RECORDED.write_text(json.dumps({"DEFAULTS": DEFAULTS, "defaults": defaults()}, indent=1, sort_keys=True) + "\n")
