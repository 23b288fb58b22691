"""Benchmarks: every figure of the README, counted or measured side by side in one run."""
