"""The stages of `dvc.yaml`: each page is a stage's command and a Ray job's entry point."""
