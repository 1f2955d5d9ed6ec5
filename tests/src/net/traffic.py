before = machine()
listen("0.0.0.0", 5001, "host")
# Rates, both ways, at two values.
HELPERS = """
def pull(address, port, count):
    s = socket.create_connection((address, port), 20); began = time.time(); got = 0
    while got < count:
        d = s.recv(65536)
        if not d: break
        got += len(d)
    return got, time.time() - began
def push(address, port, count):
    s = socket.create_connection((address, port), 20); began = time.time()
    s.sendall(bytes(count)); s.shutdown(1); s.recv(1)
    return count, time.time() - began
def drain(address, port):
    s = socket.create_connection((address, port), 5); s.settimeout(2 * PATIENCE); got = 0
    try:
        while d := s.recv(65536): got += len(d)
    except OSError: pass
    return got
"""


def source(port, count):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", port))
    server.listen()

    def serve():
        while True:
            client, _ = server.accept()
            try:
                client.sendall(bytes(count))
            except OSError:
                pass
            client.close()

    threading.Thread(target=serve, daemon=True).start()


received = []


def sink(port):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", port))
    server.listen()

    def serve():
        while True:
            client, _ = server.accept()
            got = 0
            while data := client.recv(65536):
                got += len(data)
            received.append(got)
            client.send(b"x")
            client.close()

    threading.Thread(target=serve, daemon=True).start()


MEGA = 1_000_000
source(5002, 5 * MEGA)
sink(5003)
for rate, bits, count in (("10mbit", 10e6, 3 * MEGA), ("40mbit", 40e6, 5 * MEGA)):
    slow, = start(Container("slow", "--net", "nat", "--net-rate", rate))
    slow.does(f"exec({HELPERS!r}, globals())")
    for way in (f"pull('10.87.0.1', 5002, {count})", f"push('10.87.0.1', 5003, {count})"):
        # A busy machine may be slower than the limit, and is asked again; never faster.
        for _ in range(3):
            got, seconds = slow.does(way)
            # The headers, some 4 %, count too.
            measured = got * 8 * 1.04 / seconds
            assert measured < 1.1 * bits, (rate, way, measured)
            if measured > 0.9 * bits:
                break
        assert measured > 0.9 * bits, (rate, way, measured)
    slow.end()
assert warren("run", "--net", "nat", "--net-rate", "1mbit", "--cap-add", "net_admin", "--", "true").returncode == 125
# The quota: both directions together, and not a byte beyond.
QUOTA = 2 << 20
poor, = start(Container("poor", "--net", "nat", "--net-quota", "2M"))
poor.does(f"exec({HELPERS!r}, globals())")
got = poor.does("drain('10.87.0.1', 5002)")
assert QUOTA * 0.85 < got <= QUOTA, got
assert poor.asks("10.87.0.1", 5001, 1) == "TimeoutError"
member, = json.loads(warren("net", "show", "--json", "nat").stdout)["members"]
assert member["quota_used"] >= QUOTA
poor.end()
# A list of places: all else is refused at once, and counted.
other, = start(Container("other", "--net", "nat"))
tame, = start(Container("tame", "--net", "nat", "--allow", "10.87.0.1:5001", "-p", "8080:80"))
assert tame.asks("10.87.0.1", 5001) == "host"
began = time.time()
assert tame.asks("10.87.0.1", 5002) in ("ConnectionRefusedError", "OSError", "PermissionError")
assert time.time() - began < 1 * PATIENCE
assert tame.asks(other.v4, 80, 1) == "TimeoutError" or tame.asks(other.v4, 80, 1) == "OSError"
assert other.asks(tame.v4, 80, 1) in ("TimeoutError", "OSError")
assert ask("127.0.0.1", 8080) == "tame"
members = json.loads(warren("net", "show", "--json", "nat").stdout)["members"]
refused = [member["refused"] for member in members if member["addresses"][0] == tame.v4]
assert refused[0] >= 1, members
other.end()
tame.end()
# Ranges, also such as are in each other, and what is said twice.
sh("ip addr add 10.200.0.1/32 dev lo; ip addr add 10.201.0.1/32 dev lo")
listen("10.200.0.1", 5006, "range")
listen("10.201.0.1", 5006, "other")
listen("::", 5007, "six")
wide, = start(Container("wide", "--net", "nat", "--allow", "10.200.0.0/16:5006", "--allow", "10.200.0.0/24:5006",
                        "--allow", "[fd57::/16]:5007", "--allow", "10.200.0.0/16:5006", "--allow", "10.201.0.1:5001", "--allow", "10.201.0.1:5001"))
assert wide.asks("10.200.0.1", 5006) == "range"
for address, port in (("10.201.0.1", 5006), ("10.200.0.1", 5001), ("10.87.0.1", 5001)):
    assert wide.asks(address, port) in ("ConnectionRefusedError", "OSError", "PermissionError"), (address, port)
assert wide.asks("10.201.0.1", 5001) == "host" and wide.asks("fd57:6172:7265::1", 5007) == "six"
assert "10.200.0.0/16 . tcp . 5006" in sh("nft list set inet warren ranges4"), sh("nft list set inet warren ranges4")
# A killed one's ranges are collected, and do not stand in the way of the next.
wide.process.kill()
wide.process.wait()
eventually("its ranges are gone", lambda: warren("gc").returncode == 0 and "10.200" not in subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True).stdout)
sh("ip addr del 10.200.0.1/32 dev lo; ip addr del 10.201.0.1/32 dev lo")
named, = start(Container("named", "--net", "nat", "--allow", "localhost:5001", "--add-host", "db:10.87.0.9", "--dns", "192.0.2.53"))
hosts = named.does("open('/etc/hosts').read()")
assert "10.87.0.9\tdb\n" in hosts and "127.0.0.1\tlocalhost\n" in hosts
assert named.does("open('/etc/resolv.conf').read()").startswith("nameserver 192.0.2.53\n")
named.end()
unchanged(before)
