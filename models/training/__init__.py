"""Training: fine-tuning, pretraining, distillation, averaging, hyper-parameter search."""
