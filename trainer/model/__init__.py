"""The networks, their weights and checkpoints."""
