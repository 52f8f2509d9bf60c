#!/bin/sh
# The same machines made by a loop of commands, as a script in a shell does it: loop.sh URI DIRECTORY, where the
# directory holds NAME.xml, NAME.disk (the path of its disk) and NAME.size (bytes) for each machine.
set -eu
uri=$1
for document in "$2"/*.xml; do
    machine=${document%.xml}
    qemu-img create -q -f qcow2 "$(cat "$machine.disk")" "$(cat "$machine.size")"
    virsh -q -c "$uri" define --validate "$document"
    virsh -q -c "$uri" start "$(basename "$machine")"
done
