# The ground of each test: a network namespace that stands for the host, and a second one
# that is the outside, beyond a link.
# All ends with this shell, the init of a pid namespace.
set -u
ip link set lo up
unshare -n sleep 1000 &
outside=$!
here=$(readlink /proc/self/ns/net)
until there=$(readlink /proc/$outside/ns/net) && [ "$there" != "$here" ]; do sleep 0.02; done
ip link add out type veth peer name out netns $outside
ip addr add 198.51.100.1/24 dev out
ip addr add 2001:db8:1::1/64 dev out nodad
ip link set out up
on_outside() { nsenter -n -t $outside "$@"; }
on_outside ip link set lo up
on_outside ip addr add 198.51.100.2/24 dev out
on_outside ip addr add 2001:db8:1::2/64 dev out nodad
on_outside ip link set out up
# Somebody who is there and answers nothing.
ip neigh add 198.51.100.9 lladdr 02:00:00:00:00:09 dev out
on_outside python3 -c "$OUTSIDE" > ready 2> outside.log &
until [ -s ready ]; do sleep 0.02; done
# As an ordinary user, who has no rights over either.
user="unshare --user --map-user=61234 --map-group=61234"
inside="$user $WARREN run --net user --dns 198.51.100.2"
