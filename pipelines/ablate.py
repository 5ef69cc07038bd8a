"""evaluations of a model's ablations -> data/ablations/tables/<model>/: table.json, and index.html, without a network.

python -m pipelines.ablate --params pipelines/ablations/params.yaml --model dakd
"""

from functools import partial
from pathlib import Path
from typing import Any

from restorekit.config import Params, load_params
from restorekit.entry import run_entry, stage_parser
from restorekit.errors import RestorekitError, unknown_name
from restorekit.evaluation.ablation import Evaluated, ablation_rows, on_synthetic_test
from restorekit.evaluation.results import read_evaluation
from restorekit.evaluation.table import read_mask_table, read_table
from restorekit.files import write_atomically, write_json
from restorekit.paths import Paths, working_root
from restorekit.provenance import unchanged
from restorekit.report.page import render_ablations


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--model", required=True, help="a key of `ablations`")
    found = parser.parse_args()
    read = partial(load_params, Path("params.yaml"), found.params)
    with unchanged("ablate", lambda: settings(found.model, read())):
        ablate(found.model, read(), working_root().with_areas(read().areas))


def settings(model: str, params: Params) -> list[Any]:
    """The parameters that a model's table depends on."""
    return [params.seed, params.evaluate, params.ablations.get(model)]


def ablate(model: str, params: Params, paths: Paths) -> None:
    """Writes the table of a model's ablations, each compared with the first variant of its data set."""
    if model not in params.ablations:
        raise unknown_name("model with ablations", model, params.ablations)
    names = [name for name, run in params.ablation_runs.items() if run.model == model]
    if not names:
        wanted = ", ".join(f"{model}-{dataset}" for dataset in params.ablations[model].datasets)
        raise RestorekitError(f"ablations.{model}: none of its runs is in the parameters ({wanted})")
    rows = ablation_rows(
        [read_evaluated(name, params, paths) for name in names], params.seed, params.evaluate.resamples
    )
    with write_atomically(paths.ablations(model)) as folder:
        write_json(folder / "table.json", {"rows": [row.to_json() for row in rows]})
        (folder / "index.html").write_text(render_ablations(rows), encoding="utf-8")
    for row in rows:
        gain, change = row.gain["psnr_rgb"], row.difference
        lead = "" if change is None else f", {change['psnr_rgb'].mean:+.2f} dB to the first"
        print(f"{row.model}-{row.dataset} {row.label}: gain {gain.mean:+.2f} dB over {len(row.seeds)} seeds{lead}")


def read_evaluated(run: str, params: Params, paths: Paths) -> Evaluated:
    """The evaluation of an ablation, as rows on the synthetic test."""
    folder = paths.evaluation(run)
    evaluation = read_evaluation(folder, run, "run `make ablate`")
    scores = on_synthetic_test(run, read_table(folder / "table.csv"))
    masks = read_mask_table(folder / "table.csv")
    return Evaluated(run, params.run(run), evaluation["steps"], scores, on_synthetic_test(run, masks) if masks else [])


if __name__ == "__main__":
    run_entry(main)
