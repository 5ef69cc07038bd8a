"""Many photos: failures cost only themselves, jobs change nothing, and Ctrl-C leaves whole files."""

import signal
from pathlib import Path

import pytest
from torch import Tensor

from restorekit.image import read_image
from restorekit.inference import Restorer
from restorekit.restoring.batch import restore_all
from restorekit.restoring.photo_file import Wishes
from restorekit.restoring.selection import Errand, find_photos, plan
from tests.restoring.conftest import Brighter, Log, interrupting, photo


def errands_of(folder: Path, output: Path | None = None) -> list[Errand]:
    found, problems = find_photos([str(folder)])
    errands, refused = plan(found, None if output is None else str(output))
    assert problems + refused == []
    return errands


def test_broken_photos_cost_only_themselves_and_are_named(tmp_path: Path, brighter: Restorer) -> None:
    for number in range(20):
        photo(tmp_path / f"{number:03}.png", 4, 4)
    for number in range(5):
        (tmp_path / f"broken-{number}.jpg").write_bytes(b"\xff\xd8 no photo" * number)
    log = Log()
    errands = errands_of(tmp_path)
    problems = restore_all(errands, [brighter], Wishes(), log)
    assert len(errands) == 25
    assert len(list(tmp_path.glob("*.restored.*"))) == len(log.lines) == 20
    assert [f"broken-{number}.jpg" in problem for number, problem in enumerate(problems)] == [True] * 5


def test_several_jobs_give_the_same_files_as_one(tmp_path: Path) -> None:
    for number in range(7):
        photo(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "3.png").write_bytes(b"no photo")
    network, problems = Brighter(), []
    for jobs in (1, 3):
        restorers = [Restorer(network) for _ in range(jobs)]
        problems += restore_all(errands_of(tmp_path / "in", tmp_path / f"{jobs}"), restorers, Wishes(), Log())
    assert problems[0] == problems[1]
    one, three = ({file.name: file.read_bytes() for file in (tmp_path / f"{jobs}").iterdir()} for jobs in (1, 3))
    assert one == three
    assert len(one) == 6


def test_an_interruption_stops_every_job_and_leaves_whole_files(tmp_path: Path) -> None:
    class Interrupts(Log):
        def restored(self, job: int, errand: Errand, text: str) -> None:
            interrupt()

    interrupt = interrupting()
    for number in range(20):
        photo(tmp_path / f"{number:02}.png")
    network, log = Brighter(), Interrupts()
    with pytest.raises(KeyboardInterrupt):
        restore_all(errands_of(tmp_path), [Restorer(network) for _ in range(2)], Wishes(), log)
    results = list(tmp_path.glob("*.restored.png"))
    assert 0 < len(results) < 20
    for result in results:
        read_image(result)
    assert list(tmp_path.glob(".*")) == []
    assert network.layer._forward_pre_hooks == {}


def test_an_interruption_does_not_wait_for_the_end_of_a_network(tmp_path: Path) -> None:
    class Endless(Brighter):
        def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
            signal.raise_signal(signal.SIGINT)  # the waiting thread gets it
            while True:
                self.layer(image)

    photo(tmp_path / "a.png")
    with pytest.raises(KeyboardInterrupt):
        restore_all(errands_of(tmp_path), [Restorer(Endless())], Wishes(), Log())


def test_an_error_that_is_no_users_error_is_raised(tmp_path: Path) -> None:
    class Broken(Brighter):
        def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
            raise ZeroDivisionError

    photo(tmp_path / "a.png")
    with pytest.raises(ZeroDivisionError):
        restore_all(errands_of(tmp_path), [Restorer(Broken())], Wishes(), Log())
