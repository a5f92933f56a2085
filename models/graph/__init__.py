"""The network as an ONNX graph with integer weights: building it, and reading it back into PyTorch."""
