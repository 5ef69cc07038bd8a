"""Distances of an image from the clean image, by named protocols; the table is `protocols.METRICS`.

The literature measures PSNR and SSIM in several ways that differ by decibels, so a metric's name states the protocol.
Metrics of the training loop are apart (`psnr.py`, `mask_metrics.py`), so that a new protocol restarts no training.
"""
