#!/bin/sh
# Runs in the virtual machine with the newer kernel: the end-to-end tests of /mnt that need
# it, as root, said on the console, then off.
export WARREN_TEST_PATIENCE=8 WARREN_TEST_GOLDEN=/mnt/golden
echo "warren-vm: Linux $(uname -r), $(systemctl --version | head -n 1)"
modprobe -a overlay veth bridge nf_tables tun
# One word per filter.
# shellcheck disable=SC2046
set -- $(cat /mnt/filters)
echo "warren-vm: end to end, root, newer kernel"
/mnt/warren-tests --tier newer "$@"
echo "warren-vm: done"
# Lets the serial line run dry.
sleep 1
poweroff -f
