"""The code that runs or watches a training and changes no weight: Ray Train, lease, figures, progress."""
