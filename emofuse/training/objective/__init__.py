"""The training objective: losses of a batch, distillation, adversarial steps."""
