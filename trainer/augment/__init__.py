"""Augmentation: its text form, its steps, and batches on the device."""
