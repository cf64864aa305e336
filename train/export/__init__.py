"""A policy's step as one ONNX graph: exported, checked against PyTorch, and timed."""
