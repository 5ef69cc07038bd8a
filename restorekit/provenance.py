"""Where a result comes from: digests of our own sources, and the commit of the code."""

import subprocess
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def sources_digest(names: Iterable[str]) -> str:
    """SHA-256 over the names and texts of modules and packages below `restorekit/`."""
    digest = sha256()
    for name in names:
        path = PACKAGE / name
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(f"{file.relative_to(PACKAGE).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def git_revision() -> str:
    """The commit of the code, or "unknown" where there is no repository or no git, as in a Ray job."""
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return answer.stdout.strip() if answer.returncode == 0 else "unknown"
