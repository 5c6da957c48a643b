"""Checkpoint to ONNX file, and the gate that proves the two equal."""
