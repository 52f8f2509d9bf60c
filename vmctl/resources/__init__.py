"""What a manifest may say: one module per kind, field policies, units, the registry, the JSON Schema. Imports nothing of ours."""
