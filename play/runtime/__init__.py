"""A policy's step in ONNX Runtime, OpenVINO or PyTorch."""
