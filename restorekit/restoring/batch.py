"""Restores many photos, several at once; a bad photo costs only itself, and Ctrl-C leaves no half-written file."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from restorekit.errors import RestorekitError
from restorekit.restoring.photo_file import Wishes, restore_file
from restorekit.restoring.selection import Errand

if TYPE_CHECKING:
    from torch import nn

    from restorekit.inference import Restorer

CHECK_S = 0.2  # between two looks for Ctrl-C, which may reach another thread than the one that waits


class Display(Protocol):
    """Where a batch says what it does; called from several threads."""

    def note(self, text: str) -> None: ...

    def tile(self, job: int, errand: Errand, done: int, total: int) -> None:
        """`done` of the `total` tiles of the photo that job number `job` restores are restored."""

    def restored(self, job: int, errand: Errand, text: str) -> None: ...

    def failed(self, job: int, errand: Errand, text: str) -> None: ...


class _Stopped(BaseException):
    """Ends a job between two layers of its network."""


def restore_all(
    errands: Sequence[Errand], restorers: Sequence["Restorer"], wishes: Wishes, display: Display
) -> list[str]:
    """Restores all photos, as many at once as there are `restorers`, which may share one network.

    Returns a sentence for each photo that failed, in the order of `errands`. KeyboardInterrupt is raised after all jobs
    have ended: a job ends at the next layer of its network, or when the file that it writes is whole.
    """
    waiting = deque(enumerate(errands))
    failures: dict[int, str] = {}
    broken: list[BaseException] = []
    go, stop, all_ended = threading.Event(), threading.Event(), threading.Event()
    num_jobs = min(len(restorers), len(errands))
    running = list(range(num_jobs))

    def work(job: int) -> None:
        go.wait()  # until all jobs have started, so that Ctrl-C finds all or none at work
        try:
            while waiting and not stop.is_set():
                try:
                    place, errand = waiting.popleft()
                except IndexError:  # another job was faster
                    return
                text = _restore_one(errand, restorers[job], wishes, display, job)
                if text is not None:
                    failures[place] = text
        except _Stopped:
            pass
        except BaseException as error:
            broken.append(error)
            stop.set()
        finally:
            running.remove(job)
            if not running:
                all_ended.set()

    if not errands:
        return []
    with _stops({id(one.model): one.model for one in restorers}.values(), stop):
        try:  # not Thread.join: Python 3.11 takes a thread for ended once its join was interrupted
            for job in range(num_jobs):
                threading.Thread(target=work, args=(job,)).start()
            go.set()
            while not all_ended.wait(CHECK_S):
                pass
        except KeyboardInterrupt:
            stop.set()
            if go.is_set():
                all_ended.wait()
            go.set()
            raise
    if broken:
        raise broken[0]
    return [failures[place] for place in sorted(failures)]


def _restore_one(errand: Errand, restorer: "Restorer", wishes: Wishes, display: Display, job: int) -> str | None:
    began = time.monotonic()
    try:
        photo = restore_file(
            errand, restorer, wishes, display.note, lambda done, total: display.tile(job, errand, done, total)
        )
    except RestorekitError as error:
        display.failed(job, errand, str(error))
        return str(error)
    seconds = time.monotonic() - began
    display.restored(
        job, errand, f"{errand.photo} -> {errand.target} ({photo.width} x {photo.height}, {seconds:.1f} s)"
    )
    return None


@contextmanager
def _stops(networks: Iterable["nn.Module"], stop: threading.Event) -> Iterator[None]:
    """Lets every layer of the networks raise `_Stopped` once `stop` is set: a photo in one piece takes minutes."""

    def check(*_: Any) -> None:
        if stop.is_set():
            raise _Stopped

    handles = [layer.register_forward_pre_hook(check) for network in networks for layer in network.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
