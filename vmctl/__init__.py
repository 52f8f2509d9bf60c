"""vmctl: a directory of manifests describes virtual machines, and the host is made to match."""

__version__ = "0.1.0.dev0"
