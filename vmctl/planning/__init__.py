"""Pure: graph, diff, plan, conditions, the rules of each kind. No I/O, no clock, no randomness, no logging."""
