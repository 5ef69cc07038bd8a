"""The project's records in MLflow: one store, a run per training, registered models, and which version is champion."""
