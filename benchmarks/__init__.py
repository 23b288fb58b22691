"""Benchmarks: they count or measure every figure of docs/figures.md in one run."""
