"""evaluations of the ablations -> data/ablations/: table.json, and index.html, which needs no network.

python -m pipelines.ablate
"""

import argparse
from pathlib import Path

from restorekit.config import Params, load_params
from restorekit.entry import run_entry
from restorekit.errors import RestorekitError
from restorekit.evaluation.ablation import Evaluated, ablation_rows, on_synthetic_test
from restorekit.evaluation.masks import read_mask_table
from restorekit.evaluation.score import read_table
from restorekit.files import read_json, write_beside, write_json
from restorekit.paths import Paths, working_root
from restorekit.report.ablations import render_ablations


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    params = load_params(Path("params.yaml"))
    ablate(params, working_root().with_areas(params.areas))


def ablate(params: Params, paths: Paths) -> None:
    """Writes the table of all runs in `ablations`, each held to the first of its model and data set."""
    if not params.ablations:
        raise RestorekitError("there are no ablations in params.yaml")
    runs = [read_evaluated(run, params, paths) for run in params.ablations]
    rows = ablation_rows(runs, params.seed, params.evaluate.resamples)
    write_json(paths.ablations / "table.json", {"rows": [row.to_json() for row in rows]})
    with write_beside(paths.ablations / "index.html") as beside:
        beside.write_text(render_ablations(rows), encoding="utf-8")
    for row in rows:
        gain, change = row.gain["psnr_rgb"], row.difference
        told = "" if change is None else f", {change['psnr_rgb'].mean:+.2f} dB to the first"
        print(f"{row.model}-{row.dataset} {row.label}: gain {gain.mean:+.2f} dB over {len(row.seeds)} seeds{told}")


def read_evaluated(run: str, params: Params, paths: Paths) -> Evaluated:
    """What the evaluation of an ablation wrote."""
    folder = paths.evaluation(run)
    evaluation = read_json(folder / "evaluation.json", f"evaluation of '{run}'", "run `make ablate`")
    scores = on_synthetic_test(run, read_table(folder / "table.csv"))
    masks = folder / "masks.csv"
    rows = on_synthetic_test(run, read_mask_table(masks)) if masks.is_file() else []
    return Evaluated(run, params.run(run), evaluation["steps"], scores, rows)


if __name__ == "__main__":
    run_entry(main)
