"""Benchmarks for anybody: the papers' ablations on one's own features."""
