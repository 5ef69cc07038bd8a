"""The exit status and the messages of every program of the project."""

import pytest

from restorekit.entry import run_entry
from restorekit.errors import RestorekitError


def test_a_users_error_is_one_message_and_status_one(capsys):
    def main() -> None:
        raise RestorekitError("no photo at a.jpg")

    with pytest.raises(SystemExit) as ended:
        run_entry(main)
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", "error: no photo at a.jpg\n")


def test_an_interruption_is_status_130(capsys):
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run_entry(main)
    assert ended.value.code == 130
    assert "Traceback" not in capsys.readouterr().err


def test_success_returns_and_a_bug_keeps_its_traceback():
    assert run_entry(lambda: None) is None

    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_entry(main)
