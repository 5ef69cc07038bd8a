"""The model that a task stands for."""

from pathlib import Path

from restorekit.restoring.choice import best_of, champions_by_task
from restorekit.tracking.versions import RegisteredVersion


def version(
    folder: Path, name: str, *aliases: str, task: str = "rain", made: int = 0, **gains: str
) -> RegisteredVersion:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "MLmodel").touch()
    tags = {"task": task, **{f"{test}.psnr_rgb": text for test, text in gains.items()}}
    return RegisteredVersion(name, 1, aliases, tags, "run", str(folder / name), made)


def test_champions_with_files_are_found_by_their_task(tmp_path: Path) -> None:
    rain, haze = version(tmp_path, "rain", "champion"), version(tmp_path, "haze", "champion", "x", task="haze")
    lost = version(tmp_path, "lost", "champion")
    (tmp_path / "lost" / "MLmodel").unlink()
    assert champions_by_task([rain, lost, version(tmp_path, "other", "candidate"), haze]) == {
        "rain": [rain], "haze": [haze],
    }  # fmt: skip


def test_of_several_champions_the_largest_gain_wins_and_then_the_newest(tmp_path: Path) -> None:
    low = version(tmp_path, "low", made=9, real="30, gain +1", synthetic="30, gain +2.0")
    high = version(tmp_path, "high", real="20.5, gain +4.1", note="no gain given", synthetic="21, gain -0.5")
    assert best_of([low, high]) == high
    unjudged, newer = version(tmp_path, "unjudged", made=20), version(tmp_path, "newer", made=21)
    assert best_of([newer, low, unjudged]) == low
    assert best_of([newer, unjudged]) == newer
