"""Restoring people's own photos: which files, with which model, into which files, one or thousands."""
