"""What MLflow holds for us: one store, the runs of the trainings, the registered models and who is champion."""
