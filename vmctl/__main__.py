"""`python -m vmctl`: the same program as the `vmctl` script."""

from __future__ import annotations

from vmctl.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
