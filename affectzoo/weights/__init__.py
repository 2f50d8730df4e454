"""Weights of the zoo models that ship inside the wheel: one folder each, as `save_pretrained` writes it."""
