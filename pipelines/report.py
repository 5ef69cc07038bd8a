"""everything -> data/report/: index.html, which needs no network, and leaderboard.json.

python -m pipelines.report
"""

from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from restorekit.config import Params, load_params
from restorekit.entry import run_entry, stage_parser
from restorekit.evaluation.test_sets import real_pairs
from restorekit.paths import Paths, working_root
from restorekit.provenance import unchanged
from restorekit.report.inputs import read_results
from restorekit.report.page import write_report
from restorekit.report.sheets import make_sheets
from restorekit.report.traits import Traits, traits_of
from restorekit.sources.photo_index import SPLITS, PhotoIndex
from restorekit.storage import fetch, push

PAIRS = 24  # of a real set, of which the traits are taken


def main() -> None:
    read = partial(load_params, Path("params.yaml"), stage_parser(__doc__).parse_args().params)
    params = read()
    with unchanged("report", lambda: settings(read())):
        report(params, working_root().with_areas(params.areas, params.pipeline))


def settings(params: Params) -> list[Any]:
    """The parameters that the report depends on."""
    return [params.seed, params.promote, params.datasets, params.runs, params.real.evaluate]


def report(params: Params, paths: Paths) -> None:
    """Writes data/report/ whole from the outputs of photos, train, evaluate and promote.

    The report shows the runs that are evaluated and judged, and names the others.
    """
    for folder in (paths.promotions, *map(paths.evaluation, params.runs), *map(paths.model, params.runs)):
        fetch(folder)
    results, missing = read_results(paths, params.runs)
    photos = PhotoIndex.open(paths.photos)
    write_report(
        paths.report,
        results,
        (photograph for split in SPLITS for photograph in photos.photographs(split)),
        params.promote.metric,
        missing,
        make_sheets(photos, params.seed),
        real_traits(params, Path.cwd()),
    )
    push(paths.report)
    print(f"report of {len(results)} runs: {paths.report / 'index.html'}")
    for one in missing:
        print(f"{one.run} is {one.reason}")
    for run, dataset in params.left_out.items():
        print(f"{run} is left out: no data set '{dataset}'")


def real_traits(params: Params, base: Path) -> list[Traits]:
    """The traits of the first pairs of every real set whose task has a synthetic data set; roots are under `base`."""
    made = {dataset.task for dataset in params.datasets.values()}
    sets = {name: one for name, one in params.real.evaluate.items() if one.task in made and one.paired}
    traits = []
    for name, one in sets.items():
        pairs = islice(real_pairs(name, one, base).open(), PAIRS)
        traits.append(traits_of(one.task, name, ((pair.degraded, pair.clean) for pair in pairs)))
    return traits


if __name__ == "__main__":
    run_entry(main)
