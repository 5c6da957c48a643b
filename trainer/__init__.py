"""The factory: data on the device, ResNet, the training loop and its checkpoints."""
