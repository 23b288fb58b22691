"""Benchmarks: every figure of docs/figures.md, counted or measured side by side in one run."""
