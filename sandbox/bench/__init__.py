"""Benchmarks: figures from runs of the real thing, written to `out/bench/`."""
