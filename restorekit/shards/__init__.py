"""Samples in WebDataset tars: how they are made, written, planned and read."""
