"""A real dnsmasq, under a user of its own in a network of its own, and DHCP clients that ask it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vmctl.network.networks import nat_network
from vmctl.network.reservations import prepare, release, reserve

if TYPE_CHECKING:
    from collections.abc import Iterator

NEEDED = ("dnsmasq", "dhcp_release", "busybox", "unshare", "nsenter", "ip")
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(program) for program in NEEDED),
    reason=f"needs root and {', '.join(NEEDED)}",
)

MAC_A, MAC_B = "52:54:00:00:00:0a", "52:54:00:00:00:0b"
SCRIPT = '#!/bin/sh\n[ "$1" != bound ] || echo "$ip $hostname $domain"\n'
LINKS = """
ip link set lo up
ip link add server type veth peer name client
ip addr add 10.66.0.1/16 dev server
ip link set server up
ip link set client up
echo ready
exec sleep infinity
"""


class Lan:
    """A cable with a DHCP server on one end and, by turns, each machine on the other."""

    def __init__(self, state: Path) -> None:
        self.network = nat_network("10.66.0.0/16", "installation", state)
        self.directory = Path(self.network.directory)
        self.script = state / "bound"
        self.script.write_text(SCRIPT)
        self.script.chmod(0o755)
        (state / "networks").mkdir()
        prepare(self.directory)
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-ec", LINKS], stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == "ready\n"
        self.inside = ["nsenter", "--target", str(self.holder.pid), "--net"]
        self.lines: list[str] = []
        self.heard = threading.Condition()
        self.server = self._serve(state)

    def _serve(self, state: Path) -> subprocess.Popen[str]:
        options = [
            "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
            "--user=dnsmasq", "--interface=server", "--bind-dynamic", "--except-interface=lo", "--pid-file=",
            f"--dhcp-leasefile={state / 'leases'}", "--dhcp-range=10.66.0.0,static,255.255.0.0,1h", "--no-ping",
            "--dhcp-authoritative", f"--domain={self.network.dns_domain}",
            f"--dhcp-hostsdir={self.directory / 'hosts'}", f"--hostsdir={self.directory / 'names'}",
        ]  # fmt: skip
        server = subprocess.Popen([*self.inside, "dnsmasq", *options], stderr=subprocess.PIPE, text=True)
        self.listener = threading.Thread(target=self._listen, args=(server,))
        self.listener.start()
        self.wait_for("started, version")
        return server

    def _listen(self, server: subprocess.Popen[str]) -> None:
        assert server.stderr is not None
        for line in server.stderr:
            with self.heard:
                self.lines.append(line)
                self.heard.notify_all()

    def wait_for(self, text: str) -> None:
        """Block until dnsmasq has said so since this was last asked."""
        with self.heard:
            assert self.heard.wait_for(lambda: any(text in line for line in self.lines), timeout=30), self.lines
            self.lines.clear()

    def reserve(self, mac: str, address: str, name: str) -> None:
        reserve(self.directory, mac, address, name, "default", self.network.dns_domain, forget=self.forget)
        self.wait_for(f"read {self.directory / 'names' / address}_")

    def forget(self, address: str, mac: str) -> None:
        """What the hypervisor's driver does: the files are read anew and the lease goes."""
        self.server.send_signal(signal.SIGHUP)
        subprocess.run([*self.inside, "dhcp_release", "server", address, mac], check=True)

    def boots(self, mac: str) -> str:
        """What a machine with that hardware address is given; empty when it is given nothing."""
        for change in (["down"], ["address", mac], ["up"]):
            subprocess.run([*self.inside, "ip", "link", "set", "client", *change], check=True)
        client = ["busybox", "udhcpc", "-f", "-q", "-n", "-t", "2", "-T", "1", "-i", "client", "-s", str(self.script)]
        return subprocess.run([*self.inside, *client], check=False, capture_output=True, text=True).stdout.strip()

    def resolves(self, name: str) -> str:
        """The address dnsmasq answers for a name; empty when it has none."""
        question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\1\0\1"
        code = (
            "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10);"
            "s.sendto(bytes.fromhex(sys.argv[1]), ('10.66.0.1', 53)); print(s.recv(512).hex())"
        )
        packet = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0" + question
        done = subprocess.run(
            [*self.inside, "python3", "-c", code, packet.hex()], check=True, capture_output=True, text=True
        )
        answer = bytes.fromhex(done.stdout)
        return socket.inet_ntoa(answer[-4:]) if answer[7] else ""

    def close(self) -> None:
        self.server.terminate()
        self.listener.join()
        self.holder.terminate()
        for process in (self.server, self.holder):
            with process:  # waits for it, and closes its pipe
                pass


@pytest.fixture
def lan() -> Iterator[Lan]:
    # Not pytest's own directory: dnsmasq's user may not pass through that.
    with tempfile.TemporaryDirectory() as name:
        state = Path(name)
        state.chmod(0o711)
        made = Lan(state)
        yield made
        made.close()


def test_a_machine_gets_its_address_and_its_names_and_loses_them(lan: Lan) -> None:
    assert lan.boots(MAC_A) == ""
    lan.reserve(MAC_A, "10.66.10.2", "web")
    assert lan.boots(MAC_A) == "10.66.10.2 web vm.internal"
    for name in ("web.default.vm.internal", "web.vm.internal", "web"):
        assert lan.resolves(name) == "10.66.10.2"
    release(lan.directory, MAC_A, forget=lan.forget)
    lan.wait_for("flushed 3 names")
    assert lan.resolves("web.default.vm.internal") == ""
    assert lan.boots(MAC_A) == ""


def test_an_address_goes_from_one_machine_to_another(lan: Lan) -> None:
    lan.reserve(MAC_A, "10.66.10.2", "web")
    assert lan.boots(MAC_A).startswith("10.66.10.2 ")
    lan.reserve(MAC_B, "10.66.10.2", "db")
    assert lan.boots(MAC_B) == "10.66.10.2 db vm.internal"
    assert lan.resolves("db.default.vm.internal") == "10.66.10.2"


def test_a_machine_gets_another_address(lan: Lan) -> None:
    lan.reserve(MAC_A, "10.66.10.2", "web")
    assert lan.boots(MAC_A).startswith("10.66.10.2 ")
    lan.reserve(MAC_A, "10.66.10.3", "web")
    assert lan.boots(MAC_A) == "10.66.10.3 web vm.internal"
    lan.reserve(MAC_B, "10.66.10.2", "db")
    assert lan.boots(MAC_B) == "10.66.10.2 db vm.internal"
