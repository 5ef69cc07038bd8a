"""Training: schedule, EMA, state, data, the loop, and the one module that knows Ray Train."""
