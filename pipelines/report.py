"""everything -> data/report/: index.html, which needs no network, and leaderboard.json.

python -m pipelines.report
"""

import argparse
from itertools import islice
from pathlib import Path

from restorekit.config import Params, load_params
from restorekit.entry import run_entry
from restorekit.evaluation.test_sets import real_pairs
from restorekit.paths import Paths, working_root
from restorekit.report.ablations import read_groups
from restorekit.report.inputs import read_results
from restorekit.report.page import write_report
from restorekit.report.sheets import make_sheets
from restorekit.report.traits import Traits, traits_of
from restorekit.sources.photo_index import SPLITS, PhotoIndex
from restorekit.storage import fetch, push

PAIRS = 24  # of a real set, whose traits are told


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    report(load_params(Path("params.yaml")), working_root())


def report(params: Params, paths: Paths) -> None:
    """Writes data/report/ whole from the outputs of photos, train, evaluate and promote."""
    for folder in (paths.promotions, *map(paths.evaluation, params.runs), *map(paths.model, params.runs)):
        fetch(folder)
    results = read_results(paths, params.runs)
    photos = PhotoIndex.open(paths.photos)
    sheets = make_sheets(photos, params.seed)
    real = real_traits(params, Path.cwd())
    every = (photograph for split in SPLITS for photograph in photos.photographs(split))
    ablations = [group for model in params.ablations for group in read_groups(paths.ablations(model) / "table.json")]
    write_report(paths.report, results, every, params.promote.metric, sheets, real, ablations)
    push(paths.report)
    print(f"report of {len(results)} runs: {paths.report / 'index.html'}")


def real_traits(params: Params, base: Path) -> list[Traits]:
    """The traits of the first pairs of every real set whose task has a synthetic data set; roots are from `base` on."""
    made = {dataset.task for dataset in params.datasets.values()}
    sets = {name: one for name, one in params.real.evaluate.items() if one.task in made and one.paired}
    return [
        traits_of(
            one.task, name, ((pair.degraded, pair.clean) for pair in islice(real_pairs(name, one, base).open(), 24))
        )
        for name, one in sets.items()
    ]


if __name__ == "__main__":
    run_entry(main)
