"""Training: decoded images on the device, augmentation, the networks, the training loop and its checkpoints."""
