#!/bin/sh
# Runs in the virtual machine: the end-to-end tests of /mnt as an ordinary user and as
# root, all said on the console, then off.
export WARREN_TEST_PATIENCE=8 WARREN_TEST_GOLDEN=/mnt/golden
cgroup=$(stat -f -c %T /sys/fs/cgroup)
apparmor=$(cat /sys/module/apparmor/parameters/enabled)
echo "warren-vm: Linux $(uname -r), $(systemctl --version | head -n 1)," \
    "cgroup $cgroup, AppArmor $apparmor"
[ "$cgroup" = cgroup2fs ] && [ "$apparmor" = Y ] || {
    echo "warren-vm: not the machine that the tests are for"
    poweroff -f
}
# The container modules that cloud kernels load on demand, which a namespace cannot.
modprobe -a overlay veth bridge nf_tables
install -d -o burrow -g burrow -m 700 /home/burrow
filters=$(cat /mnt/filters)
# One word per filter.
# shellcheck disable=SC2086
{
    echo "warren-vm: end to end, ordinary user"
    runuser -u burrow -- /mnt/warren-tests --tier user $filters
    echo "warren-vm: end to end, root"
    /mnt/warren-tests --tier root $filters
}
echo "warren-vm: done"
# Lets the serial line run dry.
sleep 1
poweroff -f
