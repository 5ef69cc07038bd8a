"""ablate: the table has a row for every evaluation."""

import json
from typing import Any

import pytest

from pipelines.ablate import ablate
from pipelines.evaluate import evaluate
from restorekit.config import Params, read_run
from restorekit.config.ablations import Ablations
from restorekit.errors import RestorekitError
from restorekit.models import create_model
from restorekit.models.checkpoint import save_model
from restorekit.paths import Paths

ABLATIONS: dict[str, Any] = {
    "datasets": ["rain"],
    "seeds": [0],
    "variants": {"a0": {"options": {"gates": "none", "context": False}}, "a3": {}},
}


def test_the_table_has_every_ablation(params: Params, paths: Paths) -> None:
    settings = {"model": "dakd", "dataset": "rain", "objective": {"localise_steps": 5}, "options": {"width": 2}}
    ablations = Ablations.model_validate(ABLATIONS)
    params = params.model_copy(update={"runs": {"dakd-rain": read_run(settings)}, "ablations": {"dakd": ablations}})
    runs = params.ablation_runs
    paths = paths.with_areas(params.areas)
    with pytest.raises(RestorekitError, match=r"evaluation of 'dakd-rain--a0-0'.*make ablate"):
        ablate("dakd", params, paths)
    for name, run in runs.items():
        record = {
            "run": name, "task": "rain", "dataset": "rain", "seed": 3, "steps": 10, "git_revision": "abc",
            "shards_digest": "def", "sources_digest": "012", "mlflow_run_id": None,
        }  # fmt: skip
        save_model(paths.model(name), create_model("dakd", **run.options.model_dump()), record)
        evaluate(name, params, paths)
    ablate("dakd", params, paths)
    rows = json.loads((paths.ablations("dakd") / "table.json").read_text())["rows"]
    assert [row["label"] for row in rows] == ["a0", "a3"]
    metrics = json.loads((paths.evaluation("dakd-rain--a3-0") / "metrics.json").read_text())["synthetic-test"]
    assert rows[1]["gain"]["psnr_rgb"]["mean"] == pytest.approx(metrics["psnr_rgb"]["gain"])
    assert rows[1]["mask"]["f1"]["mean"] == pytest.approx(metrics["mask"]["f1"]["mean"])
    assert "a3" in (paths.ablations("dakd") / "index.html").read_text()
