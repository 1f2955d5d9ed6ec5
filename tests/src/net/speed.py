# A bridge by hand, with the kernel's defaults, in a network of other addresses.
before = machine()
hand = subprocess.Popen(["unshare", "-n", "sleep", "600"])
eventually("a namespace", lambda: os.readlink(f"/proc/{hand.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
sh(f"ip link add hand0 type bridge; ip link add h0 type veth peer name eth0 netns {hand.pid}; ip link set h0 master hand0 up")
sh("ip addr add 10.9.0.1/24 dev hand0; ip link set hand0 up")
sh(f"nsenter -t {hand.pid} -n sh -c 'ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.9.0.1'")
servers = [subprocess.Popen(["iperf3", "-s", "-p", port], stdout=subprocess.DEVNULL) for port in ("5201", "5202")]
nat = subprocess.Popen([WARREN, "run", "--net", "nat", "--", "sleep", "600"])
eventually("a member", lambda: json.loads(warren("net", "show", "--json", "nat").stdout)["members"])
port = json.loads(warren("net", "show", "--json", "nat").stdout)["members"][0]["port"]


def sleeper():
    listed = sh("ps -e -o pid=,args=").splitlines()
    return next((line.split()[0] for line in listed if line.split()[1:] == ["sleep", "600"]
                 and line.split()[0] != str(hand.pid) and os.path.exists(f"/proc/{line.split()[0]}/ns/net")
                 and os.readlink(f"/proc/{line.split()[0]}/ns/net") not in (os.readlink("/proc/self/ns/net"), os.readlink(f"/proc/{hand.pid}/ns/net"))
                 and port in sh(f"nsenter -t {line.split()[0]} -n ip -o link; ip -o link")), None)


eventually("the command", sleeper)
places = {"hand": (hand.pid, "10.9.0.1", "5201"), "nat": (sleeper(), "10.87.0.1", "5202")}


def measure(name, *way):
    pid, address, port = places[name]
    told = json.loads(sh(f"nsenter -t {pid} -n iperf3 -J -t 1 -c {address} -p {port} {' '.join(way)}"))
    return told["end"]["sum_received"]["bits_per_second"] / 1e9


def ratio(way):
    """The median of pairs taken one after the other: what else the machine does meets both."""
    pairs = [(measure("nat", *way), measure("hand", *way)) for _ in range(5)]
    print(way, " ".join(f"{nat:.1f}/{hand:.1f}" for nat, hand in pairs))
    return sorted(nat / hand for nat, hand in pairs)[2]


ratios = [ratio(way) for way in ((), ("-R",))]
print("nat / by hand, out and in:", *(f"{ratio:.2f}" for ratio in ratios))
# Far below what docs/net.md has: on a shared machine the pairs spread widely.
assert min(ratios) > 0.75, ratios
for server in servers:
    server.kill()
nat.terminate()
nat.wait()
hand.kill()
sh("ip link del h0; ip link del hand0")
unchanged(before)
