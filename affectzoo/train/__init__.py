"""Training and evaluation. accelerate is used here and nowhere else."""
