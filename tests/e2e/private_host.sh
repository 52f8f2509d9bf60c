#!/bin/bash
# The inside of a private libvirt host (private_host.py starts it, twice):
#
#   private_host.sh enter BASE      makes control groups of its own, then goes on as init in new namespaces
#   private_host.sh init BASE       pid 1: mounts, virtlogd, libvirtd; reaps orphans at once
#
# libvirt waits for a QEMU that has gone into the background to disappear, and a zombie has not: an init that reaps late costs seconds per
# start. A /dev/kvm that root may open and QEMU's user may not makes libvirt probe QEMU before every definition: so /dev has none.
set -euo pipefail
verb=$1 base=$2

controllers() { # the mounted hierarchies: one per controller (version 1), or one for all
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo .; else (cd /sys/fs/cgroup && ls -d -- */ | tr -d /); fi
}

enter() {
    local group controller
    for controller in $(controllers); do
        group=/sys/fs/cgroup/$controller/$(<"$base/group")
        mkdir -p "$group"
        # a new cpuset is empty, and takes no process until it has processors and memory
        if [ -e "$group/cpuset.mems" ] && [ ! -e "$group/cgroup.controllers" ]; then
            cat "$group/../cpuset.cpus" >"$group/cpuset.cpus"
            cat "$group/../cpuset.mems" >"$group/cpuset.mems"
        fi
        echo $$ >"$group/cgroup.procs"
    done
    exec unshare --mount --propagation private --uts --ipc --net --cgroup --pid --fork --kill-child=SIGKILL "$0" init "$base"
}

mount_control_groups() {
    local controller group
    group=$(<"$base/group")
    mount --rbind /sys/fs/cgroup "$base/cgroup"
    mount -t sysfs sysfs /sys
    if [ -e "$base/cgroup/cgroup.controllers" ]; then
        mount --bind "$base/cgroup/$group" /sys/fs/cgroup
        # version 2 hands controllers down only from groups without processes
        mkdir -p /sys/fs/cgroup/init
        echo $$ >/sys/fs/cgroup/init/cgroup.procs
    else
        mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
        for controller in $(cd "$base/cgroup" && ls -d -- */ | tr -d /); do
            mkdir "/sys/fs/cgroup/$controller"
            mount --bind "$base/cgroup/$controller/$group" "/sys/fs/cgroup/$controller"
        done
    fi
}

mount_devices() {
    local dev=$base/dev node
    mount -t tmpfs -o mode=755 tmpfs "$dev"
    mkdir "$dev/pts" "$dev/shm" "$dev/net"
    for node in null zero full random urandom tty net/tun; do
        touch "$dev/$node"
        mount --bind "/dev/$node" "$dev/$node"
    done
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$dev/pts"
    mount -t tmpfs tmpfs "$dev/shm"
    ln -s pts/ptmx "$dev/ptmx"
    ln -s /proc/self/fd "$dev/fd"
    ln -s fd/0 "$dev/stdin"
    ln -s fd/1 "$dev/stdout"
    ln -s fd/2 "$dev/stderr"
    mount --rbind "$dev" /dev
}

mount_directories() {
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /run/libvirt /run/lock /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
    mount --bind "$base/run" /run/libvirt
    mount --bind "$base/lib" /var/lib/libvirt
    mount --bind "$base/etc" /etc/libvirt
    mount --bind "$base/cache" /var/cache/libvirt
    mount --bind "$base/log" /var/log/libvirt
}

init() {
    hostname "$(<"$base/name")"
    mount_control_groups
    mount -t proc proc /proc
    mount_devices
    mount_directories
    ip link set lo up
    echo 1 >/proc/sys/net/ipv4/ip_forward
    virtlogd -d -p /run/virtlogd.pid
    libvirtd -d -p /run/libvirtd.pid
    touch "$base/ready"
    sleep infinity &
    while :; do wait; done
}

"$verb"
