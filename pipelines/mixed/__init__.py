"""Runs on several data sets, and what writes their stages."""
