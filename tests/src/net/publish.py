# A second machine, to which ours has a cable.
world = subprocess.Popen(["unshare", "-n", "sleep", "600"])
eventually("a namespace", lambda: os.readlink(f"/proc/{world.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
sh(f"ip link add wan type veth peer name wan netns {world.pid}")
sh("ip addr add 192.0.2.1/24 dev wan; ip -6 addr add 2001:db8::1/64 dev wan nodad; echo 0 > /proc/sys/net/ipv6/conf/wan/accept_dad; ip link set wan up")
there = f"nsenter -t {world.pid} -n"
sh(f"{there} sh -c 'ip link set lo up; ip addr add 192.0.2.2/24 dev wan; ip -6 addr add 2001:db8::2/64 dev wan nodad; ip link set wan up'")
sh("ip route add default via 192.0.2.2; ip -6 route add default via 2001:db8::2")
ASK = "import socket,sys\ntry:\n c=socket.create_connection((sys.argv[1],int(sys.argv[2])),2); print(c.recv(99).decode())\nexcept OSError as e: print(type(e).__name__)"


def from_world(address, port):
    return sh(f'{there} python3 -c "{ASK}" {address} {port}').strip()


eventually("the cable", lambda: "UP" in sh("ip -br link show wan"))
before = machine()
web, = start(Container("web", "--net", "nat", "-p", "8080:80", "-p", "0.0.0.0:8081:80", "-p", "[::]:8081:80",
                       "-p", "9000-9002:90-92", "-p", "5353:53/udp", ports="80 90 91 92"))
# The loopback, and by name.
assert ask("127.0.0.1", 8080) == "web" and ask("localhost", 8080) == "web"
assert [ask("127.0.0.1", port) for port in (9000, 9001, 9002)] == ["web"] * 3
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(5 * PATIENCE)
udp.sendto(b"hello", ("127.0.0.1", 5353))
assert udp.recv(99) == b"web:hello"
# Only what was opened is open.
assert from_world("192.0.2.1", 8081) == "web" and from_world("2001:db8::1", 8081) == "web"
assert from_world("192.0.2.1", 8080) == "ConnectionRefusedError"
# Nobody routes into the network directly.
sh(f"{there} ip route add 10.87.0.0/16 via 192.0.2.1")
assert from_world(web.v4, 80) == "TimeoutError"
# The way out has one of the host's addresses.
seen = subprocess.Popen(["nsenter", "-t", str(world.pid), "-n", "python3", "-c",
    "import socket\nfor f,a in ((socket.AF_INET,'192.0.2.2'),(socket.AF_INET6,'2001:db8::2')):\n s=socket.socket(f); s.bind((a,7)); s.listen(); print('up',flush=True); c,p=s.accept(); c.send(p[0].encode()); c.close()"],
    stdout=subprocess.PIPE, text=True)
for address, host in (("192.0.2.2", "192.0.2.1"), ("2001:db8::2", "2001:db8::1")):
    assert seen.stdout.readline() == "up\n"
    assert web.asks(address, 7) == host
# A clash is told before anything is made.
while_one_runs = machine()
for port in ("8080:1", "127.0.0.1:8080:1", "0.0.0.0:9001:1", "[::1]:8080:1", "5353:1/udp"):
    clash = warren("run", "--net", "nat", "-p", port, "--", "true")
    assert clash.returncode == 125 and "address already in use" in clash.stderr.lower(), clash
assert machine() == while_one_runs
assert warren("run", "--net", "nat", "-p", "8080:1/tcp,", "--", "true").returncode == 125
assert warren("run", "-p", "7070:1", "--", "true").returncode == 125
# It keeps its port while others come and go.
for n in range(5):
    other, = start(Container(f"other{n}", "--net", "nat", "-p", f"0.0.0.0:{8200 + n}:80"))
    assert ask("127.0.0.1", 8200 + n) == other.name and ask("127.0.0.1", 8080) == "web"
    other.end()
    assert ask("127.0.0.1", 8080) == "web"
web.end()
unchanged(before)
world.kill()
world.wait()
