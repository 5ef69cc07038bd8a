"""Samples in WebDataset tars: made, written, planned and read."""
