"""Cluster files, job files, and a trial of a lost node on one machine."""
