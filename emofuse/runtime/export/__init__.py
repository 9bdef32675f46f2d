"""Graphs for other runtimes: ONNX, OpenVINO and torch's own, in 32 or 8 bits."""
