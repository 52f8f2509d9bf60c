"""The annotations that mean something to vmctl, by name. Plain strings: what prints a table imports them too."""

from __future__ import annotations

DEFAULT_STORAGE_CLASS = "storageclass.kubernetes.io/is-default-class"
DEFAULT_MACHINE_CLASS = "virtualmachineclass.virtualization.deckhouse.io/is-default-class"
DELETION_POLICY = "vmctl.dev/deletion-policy"  # Delete: the data of a disk goes with its manifest
FORCE = "vmctl.dev/force"  # true: a machine that is being deleted has its power cut
RECONCILE = "vmctl.dev/reconcile"  # what is done about changes behind our back: one of the three below
ENFORCE, DETECT_ONLY, PAUSED = "Enforce", "DetectOnly", "Paused"
