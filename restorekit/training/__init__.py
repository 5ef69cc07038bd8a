"""Training: all that the weights depend on - the loop, its data, learner, optimiser, phases and state."""
