"""The shipped parameters as one mapping: params.yaml, with the data sets and runs of pipelines/more."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
FILES = ("params.yaml", *(f"pipelines/{name}/params.yaml" for name in ("more", "long", "ablations", "mixed")))


def shipped_values() -> dict[str, Any]:
    values, more = (yaml.safe_load((ROOT / file).read_text()) for file in FILES[:2])
    return {**values, **{section: {**values[section], **more[section]} for section in ("datasets", "runs")}}
