"""Feeds the readers of targets.py with bytes that atheris makes from what it has seen; `make fuzz` runs this.

`python -m tests.hostile.fuzz TARGET SECONDS`: bytes that make the reader fail otherwise than by a RestorekitError are
kept in tests/hostile/corpus/TARGET/, which the ordinary tests read from then on. Exit status 1 where there is one.
"""

import hashlib
import sys
import tempfile
import traceback
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["restorekit"]):
    from tests.hostile.targets import TARGETS, refused

CORPUS = Path(__file__).with_name("corpus")


def fuzz(name: str, seconds: int) -> None:
    """Ends the process: libFuzzer does."""
    target = TARGETS[name]
    found: set[str] = set()

    def one(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                refused(target, data, Path(folder))
            except Exception as error:
                keep(name, data, error, found)

    with tempfile.TemporaryDirectory() as seeds:
        (Path(seeds) / "sound").write_bytes(target.sound())
        options = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], seeds, *options], one)
        atheris.Fuzz()


def keep(name: str, data: bytes, error: Exception, found: set[str]) -> None:
    """Writes a finding into the corpus, one for each line of code that raised."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    key = f"{type(error).__name__} {place.filename}:{place.lineno}"
    if key in found:
        return
    found.add(key)
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    print(f"finding: {key}: {error}", file=sys.stderr)


if __name__ == "__main__":
    fuzz(sys.argv[1], int(sys.argv[2]))
