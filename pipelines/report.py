"""everything -> data/report/: index.html, which needs no network, and leaderboard.json.

python -m pipelines.report
"""

import argparse
from pathlib import Path

from restorekit.config import Params, load_params
from restorekit.entry import run_entry
from restorekit.paths import Paths, working_root
from restorekit.report.inputs import read_results
from restorekit.report.page import write_report
from restorekit.sources.manifest import PhotoManifest


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    report(load_params(Path("params.yaml")), working_root())


def report(params: Params, paths: Paths) -> None:
    """Writes data/report/ whole from the outputs of photos, train, evaluate and promote."""
    results = read_results(paths, params.runs)
    write_report(paths.report, results, PhotoManifest.load(paths.photos).photographs, params.promote.metric)
    print(f"report of {len(results)} runs: {paths.report / 'index.html'}")


if __name__ == "__main__":
    run_entry(main)
