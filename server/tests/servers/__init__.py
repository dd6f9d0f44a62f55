"""Real servers on free loopback ports, for tests and the demo; each stops what it started."""
