"""The progress line of a training says how long the whole will take."""

import io
import re

from restorekit.distributed.progress_bar import LINE, ProgressBar


def test_the_line_has_the_time_of_all_steps_that_this_call_makes() -> None:
    """20 of 80 steps took 100 seconds; the 20 before them were another call's."""
    file = io.StringIO()
    with ProgressBar(total=100, initial=20, desc="dmgn-rain", unit="step", file=file, bar_format=LINE) as bar:
        assert "starting" in str(bar)
        bar.start_t -= 100
        bar.update(20)
        bar.set_postfix(loss="0.1")
        found = re.search(r"40/100 .*about (\d+):(\d+) in all, .*, loss=0\.1", str(bar))
    assert found is not None
    assert 400 <= 60 * int(found[1]) + int(found[2]) < 500
