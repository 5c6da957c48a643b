"""One training run: its loop, its folder and what may interrupt it."""
