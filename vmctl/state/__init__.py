"""What vmctl remembers between two runs: objects, events, steps in flight; the engine's lock and its bell."""
