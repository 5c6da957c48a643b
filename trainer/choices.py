"""Values that options of training may take, and their defaults by device and optimizer."""

from typing import Literal

Device = Literal["auto", "cuda", "cpu"]
Optimizer = Literal["sgd", "adamw", "adam", "nadam", "radam", "rmsprop", "adagrad"]
Schedule = Literal["constant", "cosine", "one-cycle", "step", "plateau"]
Fit = Literal["shorter", "longer", "stretch"]
Bits = Literal["8", "10", "12", "14", "16", "auto"]
NormalizationKind = Literal["imagenet", "data", "none", "whiten", "image"]
ClassWeights = Literal["none", "inverse", "share", "effective"]
Sampling = Literal["shuffle", "balanced"]
RateScaling = Literal["none", "linear", "sqrt"]
Compile = Literal["auto", "on", "off"]
Precision = Literal["auto", "fp32", "bf16"]
StageStart = Literal["last", "best"]

METRICS = ("accuracy", "balanced-accuracy", "f1")
BY_DEVICE: dict[str, dict[str, int]] = {
    "cuda": {"epochs": 25, "batch_size": 64, "image_size": 224},
    "cpu": {"epochs": 12, "batch_size": 32, "image_size": 64},
}
"""Defaults by device, if neither the user nor the recipe gives a value."""
LEARNING_RATE: dict[str, float] = {
    "sgd": 0.05,
    "adamw": 1e-3,
    "adam": 1e-3,
    "nadam": 1e-3,
    "radam": 1e-3,
    "rmsprop": 1e-4,
    "adagrad": 1e-2,
}
"""Default by optimizer, if neither the user nor the recipe gives a learning rate."""
