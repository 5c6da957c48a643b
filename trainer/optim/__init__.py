"""Loss, optimizers and schedules."""
