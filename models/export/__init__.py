"""From a trained network to a model folder: calibration, integer weights, ONNX, card."""
