"""Losses and metrics of the field."""
