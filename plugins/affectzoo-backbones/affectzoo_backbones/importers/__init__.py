"""Public checkpoints whose networks are backbones of this plugin, as affectzoo models."""
