"""What is wrong with a photo: a small network, its training, its calibration, and its use on photos of any size."""
