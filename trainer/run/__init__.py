"""A training run: the loop, its folder, resuming, and several processes."""
