"""A page on this machine for restoring photos in a browser; `restorekit.ui.page` needs `pip install .[ui]`."""

import os

# Gradio and its dependencies read these when they are imported: no statistics, no look for newer versions.
os.environ |= {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}
