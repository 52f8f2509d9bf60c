"""The examination of a host, shown hosts of every kind; libvirt's own test driver stands for a good one."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vmctl.engine import host_checks
from vmctl.engine.doctor import examine
from vmctl.engine.settings import Settings
from vmctl.errors import Unreachable
from vmctl.planning.observed import Host

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import World
    from vmctl.engine.findings import Finding
    from vmctl.hypervisor.driver import Driver

HOST = Host(
    "host1", "6f1a2b3c-0000-4000-8000-000000000001", "qemu:///system", 2, 1 << 20, "tcg", "no vmx", "9.0.0", "7.2.0"
)
FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE.fd")


class Known:
    """A driver that knows its host and nothing else."""

    def host(self) -> Host:
        return HOST

    def close(self) -> None: ...


def connected() -> Driver:
    return Known()  # type: ignore[return-value]  # an examination asks for the host only


def host_tree(root: Path, *, flags: str = "fpu vmx", kvm: int | None = 0o666, firmware: tuple[str, ...] = ()) -> Path:
    """The files of a host that the checks read."""
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(f"processor : 0\nflags\t\t: {flags}\n")
    (root / "dev").mkdir()
    if kvm is not None:
        (root / "dev/kvm").touch()
        (root / "dev/kvm").chmod(kvm)
    descriptors = root / "usr/share/qemu/firmware"
    descriptors.mkdir(parents=True)
    (root / FIRMWARE.relative_to("/")).parent.mkdir(parents=True)
    (root / FIRMWARE.relative_to("/")).touch()
    for number, features in enumerate(firmware):
        (descriptors / f"{number}.json").write_text(json.dumps({
            "interface-types": ["uefi"], "mapping": {"executable": {"filename": str(FIRMWARE)}},
            "targets": [{"architecture": "x86_64"}], "features": features.split()}))  # fmt: skip
    return root


@pytest.mark.parametrize(
    ("flags", "kvm", "level", "said"),
    [
        ("fpu vmx", 0o666, "ok", "usable"),
        ("svm", 0o666, "ok", "usable"),
        ("fpu", 0o666, "warning", "emulated (slow) turn virtualization on"),
        ("fpu", 0o600, "warning", "chmod 666"),
        ("fpu", None, "warning", "neither vmx nor svm"),
        ("svm", None, "warning", "modprobe kvm_amd"),
        ("vmx", 0o600, "warning", "nobody may not open /dev/kvm"),
    ],
)
def test_kvm(tmp_path: Path, flags: str, kvm: int | None, level: str, said: str) -> None:
    root = host_tree(tmp_path, flags=flags, kvm=kvm)
    found = host_checks.virtualization(root, "nobody", root)
    assert found.level == level
    assert said in f"{found.what} {found.remedy}"


@pytest.mark.parametrize(
    ("flags", "here", "there", "said"),
    [
        ("vmx", 0o600, 0o666, "usable: machines run on the processor"),
        ("vmx", 0o666, None, "libvirt was started without /dev/kvm: machines are emulated (slow) start libvirt anew"),
        ("vmx", None, None, "load the module: modprobe kvm_intel; then start libvirt anew"),
        ("vmx", 0o666, 0o600, "usermod -aG kvm nobody; then start libvirt anew"),
        ("fpu", 0o600, None, "machines are emulated (slow) turn virtualization on"),
    ],
)
def test_kvm_of_a_libvirt_with_devices_of_its_own(
    tmp_path: Path, flags: str, here: int | None, there: int | None, said: str
) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    root = host_tree(tmp_path / "here", flags=flags, kvm=here)
    found = host_checks.virtualization(root, "nobody", host_tree(tmp_path / "there", kvm=there))
    assert said in f"{found.what} {found.remedy}"


@pytest.mark.parametrize(
    ("firmware", "levels"),
    [
        ((), ["warning", "warning"]),
        (("acpi-s3",), ["ok", "warning"]),
        (("acpi-s3", "secure-boot enrolled-keys requires-smm"), ["ok", "ok"]),
        (("secure-boot requires-smm",), ["warning", "warning"]),
    ],
)
def test_firmware(tmp_path: Path, firmware: tuple[str, ...], levels: list[str]) -> None:
    assert [found.level for found in host_checks.firmware(host_tree(tmp_path, firmware=firmware))] == levels


def test_firmware_that_is_described_but_not_there(tmp_path: Path) -> None:
    root = host_tree(tmp_path, firmware=("acpi-s3",))
    (root / FIRMWARE.relative_to("/")).unlink()
    (root / "usr/share/qemu/firmware/broken.json").write_text("{")
    assert [found.level for found in host_checks.firmware(root)] == ["warning", "warning"]


def test_missing_programs_name_their_package(tmp_path: Path) -> None:
    found = {each.subject: each for each in host_checks.programs(str(tmp_path))}
    assert found["qemu-img"].level == "problem"
    assert found["swtpm"].level == "warning"
    assert found["dnsmasq"].remedy == "apt install dnsmasq-base"


@pytest.mark.parametrize(
    ("release", "level"),
    [("5.6.19", "problem"), ("4.19.0-amd64", "problem"), ("5.7.0", "ok"), ("6.1", "ok"), ("10.0", "ok")],
)
def test_kernel(release: str, level: str) -> None:
    assert host_checks.kernel(release).level == level


@pytest.mark.parametrize(
    ("directory", "level"),
    [
        ("/home/me/.local/state/vmctl/storage/local", "problem"), ("/root/.vmctl", "problem"), ("/home/me/vms", "ok"),
        ("/var/lib/vmctl", "ok"), ("/srv/.hidden", "ok"), ("/home/.me", "ok"),
    ],
)  # fmt: skip
def test_apparmor_and_hidden_directories(tmp_path: Path, directory: str, level: str) -> None:
    assert host_checks.apparmor(tmp_path, [Path(directory)]).level == "ok"  # not in force
    switch = tmp_path / "sys/module/apparmor/parameters/enabled"
    switch.parent.mkdir(parents=True)
    switch.write_text("Y\n")
    profile = tmp_path / "etc/apparmor.d/usr.lib.libvirt.virt-aa-helper"
    profile.parent.mkdir(parents=True)
    profile.touch()
    assert host_checks.apparmor(tmp_path, [Path(directory)]).level == level


def test_a_clock_in_the_past() -> None:
    assert host_checks.clock(1000, 1030).level == "ok"
    assert host_checks.clock(1000, 2000).level == "problem"


def test_libraries_are_named() -> None:
    found = list(host_checks.python())
    assert all(each.level == "ok" for each in found)
    assert "pydantic" in found[-1].what
    assert "pytest" not in found[-1].what


def examined(world: World, root: Path, connect: Callable[[], Driver] = connected, **more: str) -> dict[str, Finding]:
    settings = Settings(more.get("uri", "qemu:///system"), world.directory)
    return {found.subject: found for found in examine(settings, connect, lambda: world.now, root)}


def test_a_whole_examination(world: World, tmp_path: Path) -> None:
    root = host_tree(tmp_path, firmware=("acpi-s3", "secure-boot enrolled-keys"))
    images = tmp_path / "images"
    images.mkdir()
    world.add("StorageClass", "local", parameters={"path": str(images)})
    found = examined(world, root)
    assert found["libvirt"].what == "libvirt 9.0.0 with QEMU 7.2.0 at qemu:///system, host host1"
    assert {"rights", "kvm", "qemu-img", "ovmf", "state", "images", "disk space", "kernel", "clock", "python"} <= set(
        found
    )
    assert str(images) in found["images"].what
    assert found["state"].level == "ok"


@pytest.mark.parametrize(
    ("message", "files", "remedy"),
    [
        ("no socket", (), "apt install libvirt-daemon-system"),
        ("no socket", ("usr/sbin/libvirtd",), "libvirtd -d"),
        ("no socket", ("usr/sbin/libvirtd", "run/systemd/system/x"), "systemctl enable --now libvirtd"),
        ("Permission denied", ("usr/sbin/libvirtd",), "usermod -aG libvirt"),
    ],
)
def test_how_to_reach_libvirt(world: World, tmp_path: Path, message: str, files: tuple[str, ...], remedy: str) -> None:
    root = host_tree(tmp_path)
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()

    def refuse() -> Driver:
        raise Unreachable(f"cannot connect: {message}")

    found = examined(world, root, refuse)["libvirt"]
    assert found.level == "problem"
    assert remedy in found.remedy


def test_a_store_of_another_host(world: World, tmp_path: Path) -> None:
    world.store.bind_host("11111111-0000-4000-8000-000000000001", "qemu:///system")
    found = examined(world, host_tree(tmp_path))
    assert found["state"].level == "problem"
    assert "belongs to the host 11111111" in found["state"].what


def test_a_damaged_store(world: World, tmp_path: Path) -> None:
    world.directory.mkdir()
    (world.directory / "vmctl.db").write_bytes(os.urandom(4096))
    assert examined(world, host_tree(tmp_path))["state"].level == "problem"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: another user's permissions are tried")
def test_image_directories_that_qemu_cannot_reach(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    world.add("StorageClass", "local", parameters={"path": str(closed / "images")})
    monkeypatch.setattr(Known, "host", lambda _: replace(HOST, qemu_user="nobody"))
    found = examined(world, host_tree(tmp_path))["images"]
    assert found.level == "problem"
    assert "chmod o+x" in found.remedy


def test_the_verb_prints_findings_with_remedies(world: World) -> None:
    ran = world.run("doctor", "--libvirt-uri", "qemu+unix:///system?socket=/nonexistent/socket")
    assert ran.code == 1
    assert ran.lines[0].startswith("PROBLEM   libvirt")
    assert ran.lines[1].strip().startswith("-> ")
    quiet = world.run("doctor", "-q", "--libvirt-uri", "qemu+unix:///system?socket=/nonexistent/socket")
    assert not any(line.startswith("ok ") for line in quiet.lines)
    document = json.loads(
        world.run("doctor", "-o", "json", "--libvirt-uri", "qemu+unix:///system?socket=/nonexistent/socket").out
    )
    assert document["worst"] == "problem"
    assert document["findings"][0]["subject"] == "libvirt"
