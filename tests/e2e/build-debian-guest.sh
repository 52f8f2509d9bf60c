#!/bin/bash
# Build a real Debian 12 guest (systemd, cloud-init, agent, sshd, growing root) and print the directory that holds guest.qcow2.
# It boots with UEFI only, about 40 s under TCG until its agent answers. Building takes about 70 s and is cached as the small guest is.
# Needs root, and: mmdebstrap mtools fdisk dosfstools e2fsprogs systemd-boot-efi qemu-utils.
set -euo pipefail
exec 3>&1 1>&2 # standard output is for the result alone

root_mib=1500 # cloud-init grows it to the size of the disk
esp_mib=96
packages=linux-image-cloud-amd64,initramfs-tools,systemd-sysv,systemd-resolved,udev,dbus,netbase,iproute2,e2fsprogs,locales
packages+=,cloud-init,cloud-guest-utils,qemu-guest-agent,openssh-server,sudo,ca-certificates

for program in mmdebstrap mformat mcopy sfdisk mke2fs qemu-img; do
    command -v "$program" >/dev/null || { echo "build-debian-guest.sh: $program is missing; ./install.sh test installs it"; exit 1; }
done
kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
digest=$({ cat "$0"; echo "$kernel"; apt-cache policy cloud-init qemu-guest-agent systemd | grep -E '^[^ ]|Candidate'; } | sha256sum | cut -c1-16)
result=${XDG_CACHE_HOME:-$HOME/.cache}/vmctl-guests/debian-$digest
if [ -e "$result/guest.qcow2" ]; then
    echo "$result" >&3
    exit
fi
mkdir -p "$(dirname "$result")"
work=$(mktemp -d "$result.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/root" "$work/out"
root=$work/root

configure() {
    echo 'LABEL=root / ext4 defaults 0 1' >"$root/etc/fstab"
    echo debian >"$root/etc/hostname"
    printf 'datasource_list: [NoCloud, None]\nlocale: false\n' >"$root/etc/cloud/cloud.cfg.d/90_nocloud.cfg"
    mkdir -p "$root/etc/systemd/system/getty.target.wants"
    ln -sf /lib/systemd/system/serial-getty@.service "$root/etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service"
    : >"$root/etc/machine-id" # each machine makes its own at its first boot
}

build_system_partition() {
    export MTOOLS_SKIP_CHECK=1
    truncate -s "${esp_mib}M" "$work/esp"
    mformat -i "$work/esp" -F -v ESP ::
    mmd -i "$work/esp" ::/EFI ::/EFI/BOOT ::/loader ::/loader/entries
    mcopy -i "$work/esp" /usr/lib/systemd/boot/efi/systemd-bootx64.efi ::/EFI/BOOT/BOOTX64.EFI
    mcopy -i "$work/esp" "$root"/boot/vmlinuz-* ::/vmlinuz
    mcopy -i "$work/esp" "$root"/boot/initrd.img-* ::/initrd
    printf 'timeout 0\ndefault debian.conf\n' >"$work/loader.conf"
    printf 'title Debian\nlinux /vmlinuz\ninitrd /initrd\noptions root=LABEL=root ro console=tty0 console=ttyS0,115200 quiet\n' >"$work/debian.conf"
    mcopy -i "$work/esp" "$work/loader.conf" ::/loader/
    mcopy -i "$work/esp" "$work/debian.conf" ::/loader/entries/
}

build_disk() {
    mke2fs -q -t ext4 -L root -d "$root" "$work/ext4" "${root_mib}M"
    truncate -s "$((1 + esp_mib + root_mib + 2))M" "$work/disk"
    printf 'label: gpt\nstart=1MiB, size=%sMiB, type=U\nstart=%sMiB, size=%sMiB, type=L\n' \
        "$esp_mib" "$((1 + esp_mib))" "$root_mib" | sfdisk -q "$work/disk"
    dd if="$work/esp" of="$work/disk" bs=1M seek=1 conv=notrunc,sparse status=none
    dd if="$work/ext4" of="$work/disk" bs=1M seek="$((1 + esp_mib))" conv=notrunc,sparse status=none
    qemu-img convert -O qcow2 -c "$work/disk" "$work/out/guest.qcow2"
}

mmdebstrap --quiet --variant=minbase --include="$packages" bookworm "$work/root.tar"
tar -C "$root" -xf "$work/root.tar"
configure
build_system_partition
build_disk
mv -T "$work/out" "$result" 2>/dev/null || [ -e "$result/guest.qcow2" ] || { echo "cannot move the result to $result"; exit 1; }
echo "$result" >&3
