"""From images to probabilities, as fast as the hardware allows."""
