"""The machinery that makes the host match: passes over objects, a queue of names, steps with a journal."""
