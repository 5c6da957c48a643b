#!/usr/bin/env bash
# 2026-11-30. torch 2.14.1, onnx 1.23.2, onnxscript 0.7.2, numpy 2.4.6; Python 3.11.
#
# Expected: an initializer of an exported file that has the name of a parameter, `conv.weight`, has the parameter's values; so that
# a file can be compared with a checkpoint, or filled with the weights of another one, by names. What is computed from several
# parameters has a name of its own.
# Seen: with optimize=True, the default, batch normalisation is multiplied into the convolution before it, and the product is kept
# as `conv.weight`: the same name, shape and type, other values. `conv.weight_bias` is new. With optimize=False the values are the
# parameter's.
# Source: onnxscript/rewriter/rules/common/_fuse_batchnorm.py, rewrite(): op.initializer(fused_weights, name=inbound_node.inputs[1].name)
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import torch
from onnx import numpy_helper


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, bias=False)
        self.norm = torch.nn.BatchNorm2d(4)
        self.norm.running_var.fill_(4.0)
        self.norm.running_mean.fill_(0.5)

    def forward(self, x):
        return self.norm(self.conv(x))


network = Network().eval()
weight = network.conv.weight.detach().numpy()
ratios = {}
for optimize in (True, False):
    program = torch.onnx.export(network, (torch.ones(1, 3, 8, 8),), dynamo=True, optimize=optimize, verbose=False)
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in program.model_proto.graph.initializer}
    ratios[optimize] = held["conv.weight"] / weight
    print(f"optimize={optimize}: {sorted(held)}, conv.weight is {np.median(ratios[optimize]):.4f} times the parameter")
sys.exit(not (np.allclose(ratios[True], 0.5, atol=1e-4) and (ratios[False] == 1).all()))
PY
