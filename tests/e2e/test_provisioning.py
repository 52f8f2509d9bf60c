"""What sets a guest up at its first start: user data, inline or from a secret; sysprep; when it counts as new."""

from __future__ import annotations

import base64
import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.product import Document, Guest, Product, disk, image, machine, secret
from tests.waiting import until

if TYPE_CHECKING:
    from tests.http_images import ImageServer

USER_DATA = """\
#cloud-config
hostname: renamed
users:
- name: ada
  plain_text_passwd: lovelace
write_files:
- path: /etc/motd
  permissions: '0640'
  content: |
    first line
    second line
runcmd:
- echo ran >/run/ran
"""
UNATTEND = "<unattend xmlns='urn:schemas-microsoft-com:unattend'/>"


@pytest.fixture(scope="module")
def installed(product: Product, images: ImageServer) -> Product:
    product.apply(image("guest", images.url("guest.qcow2")), disk("root", "guest"), disk("other", "guest"))
    return product


def instance_id(guest: Guest) -> str:
    found = re.search(r"instance-id:\s*[\"']?([^\s\"']+)", guest.sh("cat /run/seed/meta-data"))
    assert found
    return found[1]


def test_user_data_is_acted_on_once_and_a_new_machine_is_a_new_instance(installed: Product) -> None:
    wanted = machine("made", "vd/root", provisioning={"type": "UserData", "userData": USER_DATA})
    installed.apply(wanted)
    guest = installed.booted("made")
    assert guest.sh("hostname") == "renamed"
    assert guest.sh("cat /etc/motd") == "first line\nsecond line"
    assert guest.sh("stat -c %a /etc/motd") == "640"
    assert guest.sh("cat /run/ran") == "ran"
    assert "ada" in guest.sh("cat /etc/passwd")
    first = instance_id(guest)
    assert first == installed.document("vm", "made")["metadata"]["uid"]
    seed = next(installed.state.glob("seeds/*"))
    assert seed.stat().st_mode & 0o077 == 0, "only QEMU's user may read passwords"

    os.kill(guest.pid, signal.SIGKILL)
    until(lambda: not guest.live.isActive(), "libvirt's notice of the end")
    installed.apply(wanted)
    assert instance_id(installed.booted("made")) == first, "the same machine after a restart"

    installed.run("delete", "vm", "made", "--force", "--yes", "--wait")
    assert not seed.exists()
    installed.apply(wanted)
    guest = installed.booted("made")
    assert instance_id(guest) == installed.document("vm", "made")["metadata"]["uid"] != first
    installed.run("delete", "vm", "made", "--force", "--yes", "--wait")


def test_user_data_comes_from_a_secret_and_shows_nowhere(installed: Product) -> None:
    hidden = "tr0ub4dor"
    installed.apply(
        secret("setup", "cloud-init", userData=f"#cloud-config\nruncmd:\n- echo {hidden} >/run/told\n"),
        machine(
            "told",
            "vd/other",
            provisioning={"type": "UserDataRef", "userDataRef": {"kind": "Secret", "name": "setup"}},
        ),
    )
    guest = installed.booted("told")
    assert guest.sh("cat /run/told") == hidden
    encoded = base64.b64encode(hidden.encode()).decode()[:8]
    shown = [
        guest.live.XMLDesc(0),
        guest.live.XMLDesc(2),
        installed.run("describe", "vm", "told").out,
        installed.run("describe", "secret", "setup").out,
        installed.run("events").out,
    ]
    assert not [text for text in shown if hidden in text or encoded in text]
    installed.run("delete", "vm", "told", "--force", "--yes", "--wait")


def test_sysprep_comes_as_a_cd(installed: Product) -> None:
    provisioning: Document = {"type": "SysprepRef", "sysprepRef": {"kind": "Secret", "name": "answers"}}
    installed.apply(
        secret("answers", "sysprep", unattend__xml=UNATTEND),
        machine("windows", "vd/root", osType="Windows", provisioning=provisioning),
    )
    guest = installed.booted("windows")
    assert guest.sh("mkdir -p /run/cd && mount -o ro /dev/sr0 /run/cd && cat /run/cd/unattend.xml") == UNATTEND
    installed.run("delete", "vm", "windows", "--force", "--yes", "--wait")
