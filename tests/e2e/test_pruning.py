"""A machine whose manifest leaves its directory goes, and its data waits for the manifest to come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.product import Product, as_stream, disk, image, machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.http_images import ImageServer

MACHINE, DISK = (f"{kind}.virtualization.deckhouse.io" for kind in ("virtualmachine", "virtualdisk"))

DATA = "d=$(grep -lx 32768 /sys/block/sd*/size) && d=/dev/$(basename $(dirname $d))"  # the disk of 16 MiB


def test_what_a_guest_wrote_outlives_its_manifest(product: Product, images: ImageServer, tmp_path: Path) -> None:
    home = tmp_path / "machines"
    home.mkdir()
    web = as_stream(disk("root", "guest"), disk("data", size="16Mi"), machine("web", "vd/root", "vd/data"))
    (home / "guest.yaml").write_text(as_stream(image("guest", images.url("guest.qcow2"))))
    (home / "web.yaml").write_text(web)
    product.run("apply", "-f", str(home))
    product.booted("web").sh(f"{DATA} && printf precious | dd of=$d conv=notrunc,fsync")
    (home / "web.yaml").unlink()

    refused = product.run("apply", "-f", str(home), "--prune", code=5)
    assert "3 of the 4 objects" in refused.err
    assert product.phase("vm", "web") == "Running"

    prune = ("-f", str(home), "--prune", "--prune-max=3")
    expected = [f"{MACHINE}/web pruned", f"{DISK}/data retained", f"{DISK}/root retained"]
    assert [line for line in product.run("diff", *prune, code=1).lines if not line.startswith(" ")] == expected
    assert product.run("apply", *prune).lines[-3:] == expected
    assert product.domains() == {}
    assert product.layer("data").exists()

    (home / "web.yaml").write_text(web)
    adopted = product.run("apply", "-f", str(home), "--prune").out
    assert f"{DISK}/data unchanged" in adopted
    assert product.booted("web").sh(f"{DATA} && head -c 8 $d") == "precious"
    product.run("delete", "vm/web", "vd/root", "vd/data", "--from-file", "--force", "--yes")
    assert not (home / "web.yaml").exists()
