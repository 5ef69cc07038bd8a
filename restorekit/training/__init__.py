"""Training, the code that weights depend on: the loop, its data, learner, optimiser, phases and state."""
