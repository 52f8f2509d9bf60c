"""What vmctl costs, measured against the same work done without it: `python -m tests.bench` (root) prints a table.

Figures of one machine on one day mean little, so every line is a ratio: ours and theirs take turns within one run, on
the same private libvirt host, and the medians are compared. Nothing here asserts a time.
"""
