"""MLflow's store locked, of another schema, gone, and a server that answers with errors: a sentence each, no hang."""

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from restorekit.errors import RestorekitError
from restorekit.tracking.store import ensure_store, open_client, tracking_uri
from restorekit.tracking.versions import list_registered


@pytest.fixture
def root(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def dumped(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as database:
        return list(database.iterdump())


def test_a_store_of_another_schema_is_named_and_stays_as_it_is(root: Path) -> None:
    """A newer MLflow's store; an older one's is refused by MLflow in the same way."""
    file = root / "mlflow.db"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'from_the_future'")
    with suppress(RestorekitError):
        ensure_store(root)  # the copied store's addresses follow its move, whatever the schema
    before = dumped(file)
    with pytest.raises(RestorekitError, match=r"MLflow could not .*mlflow\.db"):
        ensure_store(root)
    assert dumped(file) == before


def test_a_store_that_another_program_holds_is_waited_for(root: Path) -> None:
    """The other program lets go after a moment; SQLite's own patience is what waits."""
    holder = sqlite3.connect(root / "mlflow.db", check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(1.0, lambda: (holder.rollback(), holder.close()))
    release.start()
    assert list_registered(root) == []
    release.join()


def test_a_store_that_is_gone_is_an_empty_registry(root: Path) -> None:
    (root / "mlflow.db").unlink()
    assert list_registered(root) == []
    assert not (root / "mlflow.db").exists()  # asking makes none


@contextmanager
def server(status: int) -> Iterator[str]:
    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>not what you asked for</html>")

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    running = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        running.server_close()


@pytest.mark.parametrize("status", [200, 403])
def test_a_server_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    with server(status) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(RestorekitError, match=r"MLflow could not "):
            list_registered(tmp_path)
        with pytest.raises(RestorekitError, match=r"MLflow could not look for the experiment"):
            ensure_store(tmp_path)
    assert open_client(tracking_uri(tmp_path)) is not None
