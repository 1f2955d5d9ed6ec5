before = machine()
for words in (("blue",), ("dark", "--internal")):
    made = warren("net", "create", *words)
    assert made.returncode == 0, made.stderr
raw = ("--cap-add", "net_raw,net_admin")
eve, bob, ann, blue, dark, deaf = start(
    Container("eve", "--net", "nat", *raw), Container("bob", "--net", "nat", *raw), Container("ann", "--net", "nat"),
    Container("blue", "--net", "blue", *raw), Container("dark", "--net", "dark", *raw),
    Container("both", "--net", "blue,dark"))
listen("127.0.0.1", 5000, "loopback")
listen("0.0.0.0", 5001, "host")
assert eve.asks(bob.v4, 80) == "bob" and eve.asks(bob.v6, 80) == "bob"
# Two networks do not reach each other, in neither direction; who is in both reaches both.
for one, other in ((eve, blue), (blue, eve), (blue, dark), (dark, blue)):
    for address in other.addresses:
        assert one.asks(address, 80, 1) in ("TimeoutError", "OSError"), (one.name, address)
assert deaf.asks(blue.v4, 80) == "blue" and deaf.asks(dark.v4, 80) == "dark"
# Nor the host's loopback: not by its address, not by a route to it.
assert eve.asks("127.0.0.1", 5000) == "ConnectionRefusedError"
eve.does("""__import__('subprocess').run('ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via 10.87.0.1 src %s 2>&1', shell=True).returncode""" % eve.v4)
assert eve.asks("127.0.0.1", 5000, 1) != "loopback"
assert eve.asks("10.87.0.1", 5001) == "host"

# Frames by hand. `send` takes fields as they are to be; `catch` says which payloads came.
SETUP = """
import select
pack = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); pack.bind(("eth0", 0))
own = pack.getsockname()[4]
def send(frame): pack.send(frame)
def catch(seconds, *marks):
    end = time.time() + seconds; got = set()
    while time.time() < end:
        if select.select([pack], [], [], 0.05)[0]:
            d, a = pack.recvfrom(4096)
            if a[2] != 4: got |= {m for m in marks if m in d}
    return sorted(got)
"""
for container in (eve, bob):
    container.does(f"exec({SETUP!r}, globals())")


def ipv4(source, target, mark):
    udp = struct.pack(">HHHH", 4000, 4000, 8 + len(mark), 0) + mark
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(target))
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xffff) + (total >> 16)
    return head[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xffff) + head[12:] + udp


def arp(sender_mac, sender, target):
    return struct.pack(">HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, sender_mac, socket.inet_aton(sender), b"\0" * 6, socket.inet_aton(target))


def advert(source, target):
    """A neighbour advertisement to all nodes."""
    body = struct.pack(">BBHI", 136, 0, 0, 0x20000000) + socket.inet_pton(socket.AF_INET6, target)
    source, to = (socket.inet_pton(socket.AF_INET6, a) for a in (source, "ff02::1"))
    words = source + to + struct.pack(">II", len(body), 58) + body
    total = sum(struct.unpack(f">{len(words) // 2}H", words))
    total = (total & 0xffff) + (total >> 16)
    body = body[:2] + struct.pack(">H", ~(total + (total >> 16)) & 0xffff) + body[4:]
    return struct.pack(">IHBB16s16s", 6 << 28, len(body), 58, 255, source, to) + body


me, you = eve.does("own"), bob.does("own")
other = bytes([0x0a, 0x57, 0x61, 0, 0xee, 0xee])
v6_target = socket.inet_pton(socket.AF_INET6, ann.v6)
frames = {
    "honest": you + me + b"\x08\x00" + ipv4(eve.v4, bob.v4, b"honest"),
    "source": you + me + b"\x08\x00" + ipv4(ann.v4, bob.v4, b"source"),
    "martian": you + me + b"\x08\x00" + ipv4("127.0.0.1", bob.v4, b"martian"),
    "mac": you + other + b"\x08\x00" + ipv4(eve.v4, bob.v4, b"mac-of-another"),
    "tag": you + me + b"\x81\x00\x00\x01\x08\x00" + ipv4(ann.v4, bob.v4, b"tagged"),
    "arp": b"\xff" * 6 + me + b"\x08\x06" + arp(me, "10.87.0.1", bob.v4),
    "arp mac": b"\xff" * 6 + me + b"\x08\x06" + arp(other, eve.v4, bob.v4),
    "advert": b"\x33\x33\0\0\0\x01" + me + b"\x86\xdd" + advert(eve.v6, ann.v6),
    "own advert": b"\x33\x33\0\0\0\x01" + me + b"\x86\xdd" + advert(eve.v6, eve.v6),
}
marks = [b"honest", b"source", b"martian", b"mac-of-another", b"tagged", arp(me, "10.87.0.1", bob.v4)[8:18],
         arp(other, eve.v4, bob.v4)[8:18], v6_target]
own_target = socket.inet_pton(socket.AF_INET6, eve.v6)
bob.tell(f"catch({2 * PATIENCE}, {', '.join(map(repr, marks + [own_target]))})")
time.sleep(0.3)
for frame in frames.values():
    eve.does(f"send({frame!r})")
caught = bob.hear()
assert caught == sorted([b"honest", own_target]), caught

# Nobody hears what others say to each other, promiscuous or not.
sh_promisc = eve.does("__import__('subprocess').run(['ip', 'link', 'set', 'eth0', 'promisc', 'on']).returncode")
assert sh_promisc == 0
bob.does("exec('def hold():\\n s = socket.socket(); s.bind((\"\", 90)); s.listen()\\n while True: c, _ = s.accept(); c.send(b\"whispered\" * 200); c.close()', globals())")
bob.does("threading.Thread(target=hold, daemon=True).start()")


def heard_by_eve():
    """What eve hears of what bob says to ann."""
    eve.tell(f"catch({2 * PATIENCE}, b'whispered')")
    time.sleep(0.3)
    assert ann.asks(bob.v4, 90).startswith("whispered")
    return eve.hear()


assert heard_by_eve() == []
# The proof that she would, where the bridge does not know who is where, and floods.
members = json.loads(warren("net", "show", "--json", "nat").stdout)["members"]
port_of = {member["addresses"][0]: member["port"] for member in members}
ports = [port_of[container.v4] for container in (eve, bob, ann)]
sh("; ".join(f"bridge link set dev {port} flood on" for port in ports))
place = {container: re.search(r"(\S+) \S*.*static", sh(f"bridge fdb show dev {port_of[container.v4]}"))[1] for container in (bob, ann)}
sh("; ".join(f"bridge fdb del {place[container]} dev {port_of[container.v4]} master" for container in (bob, ann)))
assert heard_by_eve() == [b"whispered"], "without the defence this test hears"
sh("; ".join(f"bridge link set dev {port} flood off" for port in ports))
sh("; ".join(f"bridge fdb add {place[container]} dev {port_of[container.v4]} master static" for container in (bob, ann)))
assert heard_by_eve() == []
# And no address of a foreign network gets in by a foreign port.
refused = sh("nft list table bridge warren")
assert re.search(r"counter packets [1-9]", refused), refused
# Internal: no way out, and nobody comes from outside.
listen("10.88.2.1", 5002, "gateway")
assert dark.asks("10.88.2.1", 5002) == "gateway"
assert dark.does("open('/proc/net/route').read().count('\\n')") == 2
for container in (eve, bob, ann, blue, dark, deaf):
    container.end()
assert warren("net", "rm", "blue", "dark").returncode == 0
unchanged(before)
