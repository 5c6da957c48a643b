"""Loss, optimizers, learning-rate schedules and EMA."""
