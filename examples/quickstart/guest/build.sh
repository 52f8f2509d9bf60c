#!/bin/bash
# Build the small guest of the quick start from the distribution's packages and print the directory that holds it.
#
#   build.sh [cloud|generic]        which of the distribution's kernels; generic has AHCI, e1000 and rtl8139, cloud is smaller
#
# The directory holds guest.qcow2 (boots with BIOS and UEFI), vmlinuz, initrd.gz and, for boot media, isolinux.bin and ldlinux.c32.
# It lies in ${XDG_CACHE_HOME:-~/.cache}/vmctl-guests under the digest of everything it is made of, so that a second call builds nothing.
# Packages are unpacked, not installed; no root rights, loop devices or mounts are needed.
# Needs: apt-get with package lists, dpkg, cpio, gzip, qemu-img, busybox-static.
set -euo pipefail
exec 3>&1 1>&2 # standard output is for the result alone

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
flavour=${1:-cloud}
case $flavour in
    cloud) meta=linux-image-cloud-amd64 ;;
    generic) meta=linux-image-amd64 ;;
    *) echo "build.sh: unknown kernel '$flavour'; cloud and generic are known"; exit 2 ;;
esac

# What the guest needs of its hardware; a module that one of the two kernels lacks is left out.
modules="virtio_pci virtio_blk virtio_scsi virtio_net virtio_console virtio_balloon virtio_mem virtio_rng
    pvpanic_mmio sd_mod sr_mod ata_piix ahci e1000 8139cp button evdev isofs vfat nls_ascii nls_cp437 nls_iso8859_1 nls_utf8"
kernel_arguments="console=tty0 console=ttyS0,115200 quiet panic=5 memhp_default_state=online_movable"

say() { echo "build.sh: $*"; }
fail() { say "$*"; exit 1; }

for program in apt-get apt-cache dpkg cpio gzip qemu-img busybox; do
    command -v "$program" >/dev/null || fail "$program is missing; ./install.sh installs it"
done

kernel=$(apt-cache depends "$meta" | awk '/Depends: linux-image/ { print $2; exit }')
[ -n "$kernel" ] || fail "the package lists know no $meta; run: apt-get update"
packages="$kernel qemu-guest-agent libglib2.0-0 libnuma1 libpcre2-8-0 libudev1 liburing2 kmod
    mtools syslinux syslinux-common isolinux systemd-boot-efi"

# Everything that the result depends on: our own files, and the versions of the packages.
digest=$({
    (cd "$here" && find . -type f | LC_ALL=C sort)
    find "$here" -type f -print0 | LC_ALL=C sort -z | xargs -0 cat
    # shellcheck disable=SC2086  # a list of words
    apt-cache policy $packages | grep -E '^[^ ]|Candidate'
    busybox | sed -n 1p
} | sha256sum | cut -c1-16)
result=${XDG_CACHE_HOME:-$HOME/.cache}/vmctl-guests/$flavour-$digest
if [ -e "$result/guest.qcow2" ]; then
    echo "$result" >&3
    exit
fi

mkdir -p "$(dirname "$result")"
work=$(mktemp -d "$result.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/debs" "$work/parts" "$work/rootfs" "$work/out"
parts=$work/parts

unpack_packages() {
    say "fetching $kernel and a few small packages; this takes about ten seconds, once"
    # As root, apt fetches as its own user, who may not enter this directory: it says so, and fetches all the same.
    # shellcheck disable=SC2086
    (cd "$work/debs" && apt-get -qq download $packages) 2>"$work/apt.log" || { cat "$work/apt.log"; fail "apt-get download failed"; }
    local deb
    for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$parts"; done
    rm -r "$work/debs"
}

copy_modules() { # into the root file system, with a list in the order in which they can be loaded
    local version source target order=()
    version=$(basename "$parts"/lib/modules/*)
    source=$parts/lib/modules/$version target=$work/rootfs/lib/modules
    # kmod acts on its own name; the distribution's kernel package leaves modules.dep to its installation
    ln -sf kmod "$parts/bin/depmod"
    "$parts/bin/depmod" -b "$parts" "$version"
    local name path
    for name in $modules; do
        path=$(awk -F: -v want="$name" '{
            file = $1; sub(/.*\//, "", file); sub(/\.ko.*/, "", file); gsub(/-/, "_", file)
            if (file == want) { n = split($2, needed, " "); for (i = n; i > 0; i--) print needed[i]; print $1 }
        }' "$source/modules.dep")
        # shellcheck disable=SC2206
        order+=($path)
    done
    mkdir -p "$target"
    local module
    printf '%s\n' "${order[@]}" | awk '!seen[$0]++' | while read -r module; do
        cp "$source/$module" "$target/"
        basename "$module"
    done >"$work/load.list"
    mv "$work/load.list" "$target/load.list"
}

copy_agent() { # with the libraries it is linked to
    local libraries=$parts/usr/lib/x86_64-linux-gnu:$parts/lib/x86_64-linux-gnu agent=$parts/usr/sbin/qemu-ga library
    cp "$agent" "$work/rootfs/usr/sbin/"
    mkdir -p "$work/rootfs/lib64" "$work/rootfs/lib/x86_64-linux-gnu"
    LD_LIBRARY_PATH=$libraries ldd "$agent" | awk '/=> \// { print $3 } /ld-linux/ { print $1 }' | while read -r library; do
        case $library in
            */ld-linux*) cp -L "$library" "$work/rootfs/lib64/" ;;
            *) cp -L "$library" "$work/rootfs/lib/x86_64-linux-gnu/" ;;
        esac
    done
}

build_initrd() {
    cp -a "$here/rootfs/." "$work/rootfs/"
    chmod -R u=rwX,go=rX "$work/rootfs" # whatever the umask of the checkout was
    chmod 600 "$work/rootfs/etc/shadow"
    (cd "$work/rootfs" && mkdir -p bin dev home mnt proc root run srv/www sys tmp etc/qemu usr/bin var/log && ln -s ../run var/run)
    cp "$(command -v busybox)" "$work/rootfs/bin/busybox"
    copy_modules
    copy_agent
    (cd "$work/rootfs" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -6n) >"$work/out/initrd.gz"
    cp "$parts"/boot/vmlinuz-* "$work/out/vmlinuz"
}

build_disk() { # one FAT file system without a partition table: syslinux for BIOS, systemd-boot for UEFI
    local raw=$work/boot.raw
    export PATH=$parts/usr/bin:$PATH MTOOLS_SKIP_CHECK=1
    truncate -s 64M "$raw"
    mformat -i "$raw" -v VMCTL -h 16 -s 63 -t 130 -c 4 -H 0 ::
    mcopy -i "$raw" "$work/out/vmlinuz" "$work/out/initrd.gz" ::/
    printf 'SERIAL 0 115200\nDEFAULT linux\nPROMPT 0\nTIMEOUT 0\nLABEL linux\n KERNEL /vmlinuz\n INITRD /initrd.gz\n APPEND %s\n' \
        "$kernel_arguments" >"$work/out/syslinux.cfg"
    mcopy -i "$raw" "$work/out/syslinux.cfg" ::/
    mmd -i "$raw" ::/EFI ::/EFI/BOOT ::/loader ::/loader/entries
    mcopy -i "$raw" "$parts/usr/lib/systemd/boot/efi/systemd-bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI
    printf 'timeout 0\ndefault linux.conf\n' >"$work/loader.conf"
    printf 'title Linux\nlinux /vmlinuz\ninitrd /initrd.gz\noptions %s\n' "$kernel_arguments" >"$work/linux.conf"
    mcopy -i "$raw" "$work/loader.conf" ::/loader/
    mcopy -i "$raw" "$work/linux.conf" ::/loader/entries/
    syslinux --install "$raw"
    qemu-img convert -O qcow2 "$raw" "$work/out/guest.qcow2"
}

unpack_packages
say "building"
build_initrd
cp "$parts/usr/lib/ISOLINUX/isolinux.bin" "$parts/usr/lib/syslinux/modules/bios/ldlinux.c32" "$work/out/"
build_disk
# Another run may have been quicker: its result is as good as ours.
mv -T "$work/out" "$result" 2>/dev/null || [ -e "$result/guest.qcow2" ] || fail "cannot move the result to $result"
echo "$result" >&3
