#!/bin/bash
# vmctl on this machine, from a checkout on Debian 12 or a relative of it.
#
#   ./install.sh              install what is missing: distribution packages, vmctl in .venv
#   ./install.sh quickstart   install, start libvirt if nobody has, build a small guest and run examples/quickstart
#   ./install.sh test         install what tests need as well, and run all of them
#   ./install.sh libvirt      start libvirt if nobody has
#   ./install.sh service -f DIR [OPTIONS]   install, and have systemd run `vmctl run -f DIR [OPTIONS]` from now on
#   ./install.sh stop         end the libvirt that was started here; refuses while guests run (--force ends them)
#
# Every command may be repeated. Packages come from the distribution and from PyPI through apt and pip; root rights, where
# they are needed, through sudo. Configuration of libvirt is read and never written.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

runtime_packages=(
    libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils ovmf swtpm swtpm-tools # the hypervisor
    dnsmasq-base dnsmasq-utils iptables iproute2                                            # its networks
    python3 python3-venv python3-dev gcc pkg-config libvirt-dev ca-certificates             # libvirt's binding is compiled
)
guest_packages=(busybox-static cpio)
test_packages=(git curl mmdebstrap mtools fdisk dosfstools e2fsprogs systemd-boot-efi)

image_port=8099 # examples/quickstart/image.yaml names it too
private=/run/vmctl-libvirt

say() { printf '%s\n' "$*" >&2; }
step() { say "==> $*"; }
fail() { say "install.sh: $*"; exit 1; }

as_root() {
    if [ "$EUID" -eq 0 ]; then "$@"; else sudo -- "$@"; fi
}

# --- installing -------------------------------------------------------------------------------------------------------

install_packages() {
    local package missing=()
    command -v apt-get >/dev/null || fail "apt-get is missing: on another distribution install libvirt, QEMU and Python 3.11 by hand, then: pip install ."
    for package in "$@"; do
        [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$EUID" -eq 0 ] || command -v sudo >/dev/null || fail "packages are missing (${missing[*]}) and there is no sudo: run this as root"
    step "Installing packages: ${missing[*]}"
    as_root apt-get -q update >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}" >&2
}

find_python() { # the first with the version that vmctl needs
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    fail "vmctl needs Python 3.11 or later with venv"
}

install_vmctl() { # with an extra of pyproject.toml, or none; pip runs only when pyproject.toml has changed since
    local extra=${1:-} stamp=.venv/vmctl-${1:-plain} python
    if [ ! -x .venv/bin/python ]; then
        python=$(find_python)
        step "Making a virtual environment in .venv"
        "$python" -m venv .venv
    fi
    if ! cmp -s pyproject.toml "$stamp" || [ ! -x .venv/bin/vmctl ]; then
        step "Installing vmctl in .venv"
        .venv/bin/python -m pip --quiet --disable-pip-version-check install --editable ".${extra:+[$extra]}" >&2
        cp pyproject.toml "$stamp"
    fi
}

# --- libvirt ----------------------------------------------------------------------------------------------------------

libvirt_answers() {
    as_root virsh --quiet --connect qemu:///system version >/dev/null 2>&1
}

start_libvirt() {
    libvirt_answers && return
    if [ -d /run/systemd/system ]; then
        step "Starting libvirt with systemd"
        as_root systemctl enable --quiet --now libvirtd
    else
        step "Starting libvirt; there is no init system here that would"
        # Detached, and without our output: whoever reads that must see its end when we end.
        as_root setsid --fork unshare --mount --propagation slave --pid --fork \
            "$PWD/install.sh" as-init </dev/null >/dev/null 2>&1
    fi
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        libvirt_answers && return
        sleep 0.1
    done
    fail "libvirt does not answer after 30 s; see $private/log and /var/log/libvirt"
}

# Process 1 of the namespaces in which libvirt lives where there is no init system. libvirt waits for a QEMU in the
# background to disappear, and a zombie has not: an init that reaps late, or never, makes every start take seconds.
as_init() {
    mkdir -p "$private" /run/lock
    exec >"$private/log" 2>&1
    local pid
    read -r pid _ </proc/self/stat # as it is seen outside: /proc is still the one from there
    echo "$pid" >"$private/pid"
    mount -t proc proc /proc
    prepare_devices
    virtlogd --daemon
    libvirtd --daemon --config "$(libvirtd_configuration)"
    sleep infinity &
    while :; do wait; done
}

# What libvirt finds in /dev has to be what QEMU, which is another user, can use.
# KVM: where the answers differ, libvirt asks again before every definition, and where the processor cannot do it (a virtual
# machine without nesting), guests start and then die. Terminals: QEMU makes one for each serial console.
prepare_devices() {
    local kvm=false terminals=false node
    if grep -qwE 'vmx|svm' /proc/cpuinfo; then kvm=true; fi
    if setpriv --reuid nobody --regid nogroup --clear-groups test -w /dev/ptmx; then terminals=true; fi
    if $terminals && { [ ! -e /dev/kvm ] || { $kvm && [ "$(stat -c '%G %a' /dev/kvm)" = "kvm 660" ]; }; }; then return; fi
    # A new /dev of real nodes, in the place of the old one and not above it: libvirt moves what is mounted in /dev into
    # QEMU's own namespace, and can do that neither with single files nor with two mounts in one place.
    mkdir -p "$private/dev"
    mount -t tmpfs -o mode=755 tmpfs "$private/dev"
    for node in /dev/*; do
        case $node in
            /dev/kvm) if $kvm; then mknod -m 660 "$private$node" c 10 232 && chgrp kvm "$private$node"; fi ;;
            /dev/ptmx) ;;
            /dev/pts) mkdir "$private$node" && mount -t devpts -o newinstance,mode=620,ptmxmode=666,gid=tty devpts "$private$node" ;;
            /dev/shm | /dev/mqueue | /dev/hugepages)
                mkdir "$private$node"
                mount --bind "$node" "$private$node"
                ;;
            *) cp -a "$node" "$private/dev/" ;;
        esac
    done
    ln -s pts/ptmx "$private/dev/ptmx"
    awk '$2 ~ "^/dev(/|$)" { print $2 }' /proc/mounts | tac | xargs -r umount --lazy
    mount --move "$private/dev" /dev
}

# Where the firmware does not tell the machine's identity, libvirt makes one up at every start; vmctl's store knows its host
# by it, and would refuse. So it is taken from /etc/machine-id, in a copy of the configuration.
libvirtd_configuration() {
    local own=$private/libvirtd.conf
    cp /etc/libvirt/libvirtd.conf "$own"
    if [ ! -r /sys/class/dmi/id/product_uuid ] && ! grep -qE '^[[:space:]]*host_uuid' "$own"; then
        [ -s /etc/machine-id ] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
        echo 'host_uuid_source = "machine-id"' >>"$own"
    fi
    echo "$own"
}

stop_libvirt() {
    local pid guests
    pid=$(cat "$private/pid" 2>/dev/null) || fail "no libvirt was started here"
    if ! grep -qz as-init "/proc/$pid/cmdline" 2>/dev/null; then
        say "the libvirt that was started here has ended already"
        return
    fi
    guests=$(as_root virsh --quiet --connect qemu:///system list --name | paste -sd ' ')
    if [ -n "${guests// /}" ] && [ "${1:-}" != --force ]; then
        fail "guests are running: ${guests% }; delete them first (vmctl delete vm NAME), or end them with: ./install.sh stop --force"
    fi
    step "Stopping libvirt"
    as_root kill -KILL "$pid" # of a process 1: everything in its namespace ends with it
}

# --- the quick start --------------------------------------------------------------------------------------------------

state_directory() { # where QEMU's own user can reach the disks: it cannot pass through a closed home
    local directory=$PWD/state
    while [ "$directory" != / ]; do
        directory=$(dirname "$directory")
        if [ -z "$(find "$directory" -maxdepth 0 -perm -o+x)" ]; then
            echo /var/lib/vmctl
            return
        fi
    done
    echo "$PWD/state"
}

build_guest() {
    local build=examples/quickstart/guest/build.sh
    "$build" || { # most often the package lists are missing, or older than the mirror
        as_root apt-get -q update >&2
        "$build"
    }
}

serve() { # a directory on loopback, until the script ends
    .venv/bin/python -m http.server --bind 127.0.0.1 --directory "$1" "$image_port" >/dev/null 2>&1 &
    server=$!
    trap 'kill "$server" 2>/dev/null || true' EXIT
    until (: <"/dev/tcp/127.0.0.1/$image_port") 2>/dev/null; do
        kill -0 "$server" 2>/dev/null || fail "port $image_port on 127.0.0.1 is taken: whatever holds it must go first (ss -ltnp)"
        sleep 0.05
    done
}

quickstart() {
    local state guest vmctl=(.venv/bin/vmctl) shown=".venv/bin/vmctl"
    state=${VMCTL_STATE_DIR:-$(state_directory)}
    if [ "$state" != "$PWD/state" ]; then
        [ -n "${VMCTL_STATE_DIR:-}" ] || say "QEMU cannot reach this checkout through the closed directories above it: state is kept in $state"
        vmctl+=(--state-dir "$state") shown+=" --state-dir $state"
    fi
    [ "$EUID" -eq 0 ] || shown="sudo $shown"
    guest=$(build_guest)
    serve "$guest"
    step "$shown apply -f examples/quickstart --wait --timeout=10m"
    as_root "${vmctl[@]}" apply -f examples/quickstart --wait --timeout=10m
    step "$shown wait vm/linux-vm --for=condition=AgentReady --timeout=5m"
    as_root "${vmctl[@]}" wait vm/linux-vm --for=condition=AgentReady --timeout=5m
    step "$shown get vm"
    as_root "${vmctl[@]}" get vm
    cat >&2 <<END

The machine has booted. What next:
  its console     $shown console linux-vm      user cloud, password cloud; Ctrl+] leaves
  a change        edit examples/quickstart/machine.yaml (2 cores, say), then
                  $shown diff -f examples/quickstart
                  $shown apply -f examples/quickstart
                  $shown restart linux-vm      if apply says that the change waits for a restart
  delete it all   $shown delete vm/linux-vm vd/linux-disk vi/ubuntu
  libvirt         ./install.sh stop            ends it, if it was started here
END
}

# --- the service ------------------------------------------------------------------------------------------------------

service() { # the options of `vmctl run`; the unit is written anew by each call
    local unit=/etc/systemd/system/vmctl.service text
    text=$(as_root .venv/bin/vmctl run "$@" --print-unit)
    if [ "$(cat "$unit" 2>/dev/null)" != "$text" ]; then
        step "Writing $unit"
        as_root tee "$unit" <<<"$text" >/dev/null
        as_root systemctl daemon-reload
        as_root systemctl enable --quiet vmctl
        as_root systemctl restart vmctl # machines keep running
    else
        as_root systemctl enable --quiet --now vmctl
    fi
    say "vmctl runs: systemctl status vmctl, journalctl -u vmctl"
}

# --- tests ------------------------------------------------------------------------------------------------------------

run_tests() {
    step "ruff format"
    .venv/bin/ruff format --check .
    step "ruff check"
    .venv/bin/ruff check .
    step "mypy"
    .venv/bin/mypy
    step "import-linter"
    .venv/bin/lint-imports
    step "pytest"
    as_root env VMCTL_E2E=required .venv/bin/pytest "$@"
}

case ${1:-install} in
    install)
        install_packages "${runtime_packages[@]}"
        install_vmctl
        say "vmctl is installed: $PWD/.venv/bin/vmctl"
        ;;
    quickstart)
        install_packages "${runtime_packages[@]}" "${guest_packages[@]}"
        install_vmctl
        start_libvirt
        quickstart
        ;;
    test)
        shift
        install_packages "${runtime_packages[@]}" "${guest_packages[@]}" "${test_packages[@]}"
        install_vmctl dev
        run_tests "$@"
        ;;
    libvirt) start_libvirt ;;
    service)
        shift
        [ $# -gt 0 ] || fail "say which directory: ./install.sh service -f DIR"
        [ -d /run/systemd/system ] || fail "systemd does not run here; let another supervisor run: .venv/bin/vmctl run $*"
        install_packages "${runtime_packages[@]}"
        install_vmctl
        start_libvirt
        service "$@"
        ;;
    stop) stop_libvirt "${2:-}" ;;
    as-init) as_init ;; # start_libvirt calls this
    -h | --help | help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0" ;;
    *) fail "unknown command '$1'; ./install.sh --help names them" ;;
esac
