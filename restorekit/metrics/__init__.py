"""How near an image is to the clean one, by named protocols; `protocols.METRICS` is the table of them.

The literature measures PSNR and SSIM in several ways that differ by decibels, so a metric's name says which one it is.
What a training measures by itself (`psnr.py`, `mask_metrics.py`) stands apart: a new protocol restarts no training.
"""
