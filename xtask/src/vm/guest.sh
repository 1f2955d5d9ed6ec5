#!/bin/sh
# Runs in the virtual machine: the end-to-end tests of /mnt as ordinary users and as root,
# all said on the console, then off.
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
install -d -o mole -g mole -m 700 /home/mole
# One word per filter.
# shellcheck disable=SC2046
set -- $(cat /mnt/filters)
echo "warren-vm: end to end, ordinary user with a range of ids"
runuser -u burrow -- /mnt/warren-tests --tier user "$@"
echo "warren-vm: end to end, ordinary user without a range"
runuser -u mole -- /mnt/warren-tests --tier user "$@"
echo "warren-vm: end to end, root"
/mnt/warren-tests --tier root "$@"
echo "warren-vm: settings of the machine"
/mnt/warren-tests --tier machine "$@"
for user in root burrow; do
    echo "warren-vm: what warren doctor says to $user"
    runuser -u $user -- /mnt/warren doctor
done
echo "warren-vm: done"
# Lets the serial line run dry.
sleep 1
poweroff -f
