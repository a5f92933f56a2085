"""From a training run to a model folder: pruning, integer weights, calibration, figures, card."""
