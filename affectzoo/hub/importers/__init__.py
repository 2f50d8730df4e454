"""Checkpoints of others to affectzoo folders: what an importer is, and what runs one."""
