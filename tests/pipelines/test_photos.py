"""The stage that collects photographs, started as DVC starts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from restorekit.sources import PhotoManifest

ROOT = Path(__file__).parents[2]

PARAMS = """
seed: 0
photos: {photos}
synthesize: {{}}
datasets: {{}}
train: {{steps: 1, batch_size: 1, crop: 32, lr: 0.001}}
runs: {{}}
evaluate: {{}}
promote: {{}}
"""


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    values = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "pipelines.photos"]
    return subprocess.run(command, cwd=folder, env=values, capture_output=True, text=True, check=False)


def test_the_stage_writes_the_photographs_and_one_line(tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS.format(photos="{}"))
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "8 photographs of 7 scenes: 5 train, 1 val, 2 test\n"
    assert len(PhotoManifest.load(tmp_path / "data/photos").photographs) == 8


def test_a_jobs_root_receives_the_photographs(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/params.yaml").write_text(PARAMS.format(photos="{}"))
    assert run(tmp_path / "code", RESTOREKIT_ROOT=str(tmp_path / "shared")).returncode == 0
    assert (tmp_path / "shared/data/photos/manifest.json").is_file()


@pytest.mark.parametrize("photos", ["{packages: false}", "{folders: [nowhere]}", "{flders: []}"])
def test_a_users_error_is_one_message_without_a_traceback(tmp_path, photos):
    (tmp_path / "params.yaml").write_text(PARAMS.format(photos=photos))
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "data/photos").exists()
