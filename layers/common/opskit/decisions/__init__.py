"""The rules, as pure functions: state in, verdict and reason out; no clock, no I/O."""
