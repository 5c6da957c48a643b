"""Augmentation: steps parsed from text, applied to batches on the device."""
