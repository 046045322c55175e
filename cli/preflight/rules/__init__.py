"""What the checks of `ops preflight` judge by: pure functions, without clock and without I/O."""
