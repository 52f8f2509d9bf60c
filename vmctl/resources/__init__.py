"""What a manifest may say: one module per kind, policies, units, registry, JSON Schema. Imports nothing of ours."""
