"""The product as a user has it: `vmctl` as a process of its own, and the guest as it sees itself through its agent."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt
import libvirt_qemu

from tests.waiting import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.e2e.private_host import PrivateHost

PROGRAM = (sys.executable, "-m", "vmctl")
BOOT_S = "180s"
BOOT_ID = "/proc/sys/kernel/random/boot_id"  # drawn anew at each start of a kernel
Document = dict[str, Any]
GATES: Document = {
    "apiVersion": "deckhouse.io/v1alpha1",
    "kind": "ModuleConfig",
    "metadata": {"name": "virtualization"},
    "spec": {
        "version": 1,
        "enabled": True,
        "settings": {"featureGates": ["HotplugBlockDevices", "HotplugCPUAndMemoryWithInPlaceResize"]},
    },
}
libvirt.registerErrorHandler(lambda *_: None, None)  # else it prints what it raises too


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended and what it said."""

    command: str
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass(frozen=True, slots=True)
class Daemon:
    """A `vmctl run` that is ready."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        """What it has logged."""
        return self.log.read_text()

    def end(self) -> None:
        """Ask it to end and wait until it has."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Manifests:
    """A directory of manifests, a file for each object."""

    path: Path

    def write(self, *documents: Document) -> None:
        """Save documents as an editor does, each at once."""
        for document in documents:
            file = self.path / f"{document['kind']}-{document['metadata']['name']}.yaml".lower()
            new = file.with_name(f".{file.name}.new")
            new.write_text(json.dumps(document, indent=2))
            new.replace(file)


@dataclass
class Product:
    """One installation: a state directory, and a libvirt host that it may share with others."""

    host: PrivateHost
    state: Path
    environment: dict[str, str] = field(default_factory=dict)
    boot_file: Path | None = None  # a file to be found in place of the host's boot id
    _connection: Any = None

    def run(
        self, *arguments: str, stdin: str | None = None, code: int | None = 0, patience_s: float = PATIENCE_S
    ) -> Answer:
        """Run a command to its end; it must end with the exit code, None allows all."""
        ended = subprocess.run(
            [*self.program(), *arguments],
            env=self.surroundings(),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            check=False,
            text=True,
            capture_output=True,
            timeout=patience_s,
        )
        answer = Answer(" ".join(arguments), ended.returncode, ended.stdout, ended.stderr)
        assert code is None or answer.code == code, f"{answer.command}: {answer.code}\n{answer.out}{answer.err}"
        assert "Traceback" not in answer.err, answer.err
        return answer

    @contextlib.contextmanager
    def running(self, *arguments: str, stdin: str | None = None) -> Iterator[subprocess.Popen[str]]:
        """A command in the background; it is killed at the end of the block if it is still there."""
        process = subprocess.Popen(
            [*self.program(), *arguments],
            env=self.surroundings(),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            if stdin is not None:
                assert process.stdin
                process.stdin.write(stdin)
                process.stdin.close()
                process.stdin = None
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    @contextlib.contextmanager
    def daemon(self, *directories: Path, options: Iterable[str] = ()) -> Iterator[Daemon]:
        """`vmctl run` over directories, from when it is ready to the end of the block, or to its own.

        It compares everything only at its start, unless options say otherwise: what it notices after that it was told.
        """
        named = [f"--filename={directory}" for directory in directories]
        log = self.state.with_name(f"{self.state.name}-run.log")
        with log.open("w") as output:
            process = subprocess.Popen(
                [*self.program(), "run", *named, "--resync=1h", *options],
                env=self.surroundings(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        daemon = Daemon(process, log)
        try:
            until(lambda: " ready: " in daemon.said() or process.poll() is not None, "a daemon that is ready")
            assert process.poll() is None, daemon.said()
            yield daemon
            assert process.poll() in (None, 0), daemon.said()
        finally:
            daemon.end()
            said = daemon.said()
            log.unlink()
        assert "Traceback" not in said, said

    def program(self) -> tuple[str, ...]:
        """How a command starts: in the boot of the host that this installation is told to see."""
        if self.boot_file is None:
            return PROGRAM
        bind = f'mount --bind {self.boot_file} {BOOT_ID} && exec "$@"'
        return ("unshare", "--mount", "--propagation=private", "sh", "-c", bind, "sh", *PROGRAM)

    def see_new_boot(self) -> None:
        """Have every later command see another boot of the host than those before it."""
        self.boot_file = self.state.with_name(f"{self.state.name}-boot-{uuid.uuid4().hex[:8]}")
        self.boot_file.write_text(f"{uuid.uuid4()}\n")

    def surroundings(self) -> dict[str, str]:
        """The environment of a command, without what the developer's own shell says about vmctl."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VMCTL_")}
        return {
            **kept,
            "VMCTL_LIBVIRT_URI": self.host.uri,
            "VMCTL_STATE_DIR": str(self.state),
            "COLUMNS": "200",
            **self.environment,
        }

    def apply(self, *documents: Document, wait: bool = True, code: int | None = 0) -> Answer:
        """Apply documents from standard input."""
        options = ("--wait", f"--timeout={BOOT_S}") if wait else ()
        return self.run("apply", "-f", "-", *options, stdin=as_stream(*documents), code=code)

    def document(self, kind: str, name: str, namespace: str = "default") -> Document:
        """One object as it is stored."""
        found: Document = json.loads(self.run("get", kind, name, "-n", namespace, "-o", "json").out)
        return found

    def status(self, kind: str, name: str, namespace: str = "default") -> Document:
        """The status of an object; empty before its first pass."""
        found: Document = self.document(kind, name, namespace).get("status", {})
        return found

    def phase(self, kind: str, name: str, namespace: str = "default") -> str:
        return str(self.status(kind, name, namespace).get("phase"))

    def condition(self, kind: str, name: str, condition: str, namespace: str = "default") -> Document:
        """One condition of an object; it must have it."""
        conditions = self.status(kind, name, namespace)["conditions"]
        found: Document = next(item for item in conditions if item["type"] == condition)
        return found

    def booted(self, name: str, namespace: str = "default", *, timeout: str = BOOT_S) -> Guest:
        """The machine once its agent answers, as vmctl itself sees it."""
        goal = ("--for=condition=AgentReady", f"--timeout={timeout}")
        self.run("wait", f"vm/{name}", "-n", namespace, *goal, patience_s=10 * PATIENCE_S)
        return self.guest(name, namespace)

    def waiting(self, name: str, namespace: str = "default") -> list[Document]:
        """The changes of a machine that wait for its restart."""
        changes: list[Document] = self.status("vm", name, namespace).get("restartAwaitingChanges", [])
        return changes

    def events(self, name: str, reason: str) -> list[str]:
        """The lines of the events of an object in the default namespace that have a reason."""
        return [line for line in self.run("events").lines if re.search(rf" {reason} +\S+/{name} ", line)]

    def guest(self, name: str, namespace: str = "default") -> Guest:
        return Guest(self, name if namespace == "default" else f"{namespace}.{name}")

    @property
    def libvirt(self) -> Any:
        """A connection of the test's own, opened anew when libvirtd was restarted meanwhile."""
        if self._connection is None or not self._connection.isAlive():
            self._connection = libvirt.open(self.host.uri)
        return self._connection

    def domains(self) -> dict[str, Any]:
        """Every domain of the host by name, whoever made it."""
        return {domain.name(): domain for domain in self.libvirt.listAllDomains(0)}

    def layer(self, disk: str, namespace: str = "default") -> Path:
        """The file of a disk."""
        name = self.status("vd", disk, namespace)["target"]["persistentVolumeClaimName"]
        return self.state / "storage" / "local" / f"{name}.qcow2"

    def files(self) -> set[str]:
        """What lies in the state directory beside the store, relative to it."""
        housekeeping = ("vmctl.db", "engine.lock", "create.lock", "manifests.cache")
        return {
            str(path.relative_to(self.state))
            for path in self.state.rglob("*")
            if not path.is_dir() and not path.name.startswith(housekeeping)
        }

    def close(self) -> None:
        """Let go of the host."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextlib.contextmanager
def installation(host: PrivateHost, below: Path, *, alone: bool = True) -> Iterator[Product]:
    """An installation with an empty state directory where QEMU can reach the layers.

    The host is cleared before and after, unless others are on it as well.
    """
    state = Path(tempfile.mkdtemp(prefix="state-", dir=below))
    state.chmod(0o711)
    product = Product(host, state)
    if alone:
        clear(product.libvirt)
    try:
        yield product
    finally:
        if alone:
            clear(product.libvirt)
        product.close()
        shutil.rmtree(state)


@dataclass(frozen=True, slots=True)
class Guest:
    """The inside of a running machine."""

    product: Product
    domain: str

    @property
    def live(self) -> Any:
        return self.product.libvirt.lookupByName(self.domain)

    @property
    def pid(self) -> int:
        """Process id of its QEMU, seen from outside the host."""
        return self.product.host.qemu_pid(self.domain)

    def sh(self, script: str, *, check: bool = True, patience_s: float = PATIENCE_S) -> str:
        """What a shell script prints in the guest. Fails when it fails there and `check` is set."""
        started = self._agent("guest-exec", path="/bin/sh", arg=["-c", script], **{"capture-output": True})
        ended = until(lambda: self._ended(started["pid"]), f"the end of {script}", patience_s=patience_s)
        out, err = (base64.b64decode(ended.get(name, "")).decode() for name in ("out-data", "err-data"))
        assert not check or ended.get("exitcode") == 0, f"{script}: {ended}\n{out}{err}"
        return out.strip()

    def boot(self) -> str:
        """What tells this run of the guest's kernel from every other; waits until its agent answers."""
        return str(until(self._boot, f"an answer of the agent in {self.domain}"))

    def _boot(self) -> str:
        with contextlib.suppress(libvirt.libvirtError):
            return self.sh(f"cat {BOOT_ID}", check=False)  # on its way down /proc goes before the agent
        return ""

    def booted_since(self, boot: str) -> None:
        """Wait until another run of the guest's kernel has come up than the one named."""
        until(lambda: self._boot() not in ("", boot), f"the next boot of {self.domain}")

    def write(self, script: str) -> None:
        """Start a script and do not wait: it may end the guest."""
        self._agent("guest-exec", path="/bin/sh", arg=["-c", script])

    def _ended(self, pid: int) -> Any:
        status = self._agent("guest-exec-status", pid=pid)
        return status if status["exited"] else None

    def _agent(self, command: str, **arguments: Any) -> Any:
        text = json.dumps({"execute": command, "arguments": arguments})
        return json.loads(libvirt_qemu.qemuAgentCommand(self.live, text, 10, 0))["return"]


def clear(connection: Any) -> None:
    """Remove every domain and network of a host."""
    flags = (
        libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_TPM
    )
    for domain in connection.listAllDomains(0):
        persistent = domain.isPersistent()
        if domain.isActive():
            domain.destroy()
        if persistent:
            domain.undefineFlags(flags)
    for network in connection.listAllNetworks(0):
        persistent = network.isPersistent()
        if network.isActive():
            network.destroy()
        if persistent:
            network.undefine()


def as_stream(*documents: Document) -> str:
    """Documents as one stream of YAML."""
    return "\n---\n".join(json.dumps(document) for document in documents)


def manifest(kind: str, name: str, spec: Document, *, namespace: str = "default", **metadata: Any) -> Document:
    """A document of our group; metadata beside the name as keywords."""
    where = {"namespace": namespace} if namespace != "default" else {}
    return {
        "apiVersion": "virtualization.deckhouse.io/v1alpha2",
        "kind": kind,
        "metadata": {"name": name, **where, **metadata},
        "spec": spec,
    }


def image(name: str, url: str, *, kind: str = "VirtualImage", namespace: str = "default", **http: Any) -> Document:
    """An image from an address."""
    storage = {"storage": "ContainerRegistry"} if kind == "VirtualImage" else {}
    source = {"type": "HTTP", "http": {"url": url, **http}}
    return manifest(kind, name, {**storage, "dataSource": source}, namespace=namespace)


def disk(
    name: str, source: str = "", *, size: str = "", kind: str = "VirtualImage", namespace: str = "default"
) -> Document:
    """A disk from an image, or a blank one."""
    spec: Document = {}
    if source:
        spec["dataSource"] = {"type": "ObjectRef", "objectRef": {"kind": kind, "name": source}}
    if size:
        spec["persistentVolumeClaim"] = {"size": size}
    return manifest("VirtualDisk", name, spec, namespace=namespace)


def machine(name: str, *devices: str, namespace: str = "default", **spec: Any) -> Document:
    """A small machine; devices as `vd/name`, `vi/name`, `cvi/name`; anything else of its spec as keywords.

    It asks for little of the host's guaranteed CPU, so that many fit.
    """
    kinds = {"vd": "VirtualDisk", "vi": "VirtualImage", "cvi": "ClusterVirtualImage"}
    refs = [{"kind": kinds[short], "name": device} for short, device in (text.split("/") for text in devices)]
    wanted: Document = {
        "virtualMachineClassName": "host",
        "cpu": {"cores": 1, "coreFraction": "5%"},
        "memory": {"size": "256Mi"},
        "blockDeviceRefs": refs,
        **spec,
    }
    return manifest("VirtualMachine", name, wanted, namespace=namespace)


def secret(name: str, kind: str, *, namespace: str = "default", **data: str) -> Document:
    """A provisioning secret; keys with dots are given with double underscores."""
    where = {"namespace": namespace} if namespace != "default" else {}
    encoded = {key.replace("__", "."): base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, **where},
        "type": f"provisioning.virtualization.deckhouse.io/{kind}",
        "data": encoded,
    }
