before = machine()
assert warren("net", "create", "shop", "--subnet", "10.5.0.0/24", "--subnet", "fd05::/64").returncode == 0
assert warren("net", "create", "dark", "--internal", "--subnet", "10.6.0.0/24").returncode == 0

# A resolver of the host's: it says what it was asked, and has a long answer for one name.
heard = []


def outside(question, room):
    at = 12
    while question[at]:
        at += question[at] + 1
    name = question[12:at].decode(errors="replace")
    heard.append(name)
    count = 60 if "long" in name else 1
    answers = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 9, 4) + bytes([192, 0, 2, n]) for n in range(count))
    if 12 + at + len(answers) > room:
        count, answers, flags = 0, b"", 0x8780
    else:
        flags = 0x8580
    return question[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0) + question[12:at + 5] + answers


def resolver(address):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, 53))
    tcp = socket.socket()
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind((address, 53))
    tcp.listen()

    def datagrams():
        while True:
            question, sender = udp.recvfrom(4096)
            udp.sendto(outside(question, 512), sender)

    def connections():
        while True:
            client, _ = tcp.accept()
            length = struct.unpack(">H", client.recv(2))[0]
            answer = outside(client.recv(length), 65535)
            client.send(struct.pack(">H", len(answer)) + answer)
            client.close()

    for work in (datagrams, connections):
        threading.Thread(target=work, daemon=True).start()


resolver("127.0.0.9")
# Nobody answers at the first: the next is asked.
own = ("--dns", "127.0.0.8", "--dns", "127.0.0.9")

# `dig` of these tests: the answer's code, whether it was cut, and the data of its records.
DIG = r"""
def dig(name, kind=1, tcp=False, to="127.0.0.11"):
    q = b"\x07\x08\x01\0\0\x01\0\0\0\0\0\0" + b"".join(bytes([len(w)]) + w.encode() for w in name.split(".") if w) + struct.pack(">BHH", 0, kind, 1)
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    s.settimeout(8 * PATIENCE)
    try:
        s.connect((to, 53)); s.send((struct.pack(">H", len(q)) if tcp else b"") + q)
        a = s.recv(65535)
        if tcp:
            while len(a) < 2 + struct.unpack(">H", a[:2])[0]: a += s.recv(65535)
            a = a[2:]
    except OSError as error:
        return type(error).__name__
    count = struct.unpack(">H", a[6:8])[0]; at = len(q); data = []
    for n in range(count):
        length = struct.unpack(">H", a[at + 10:at + 12])[0]
        d = a[at + 12:at + 12 + length]; at += 12 + length
        data.append(socket.inet_ntop(socket.AF_INET6 if length == 16 else socket.AF_INET, d) if kind in (1, 28) else d.decode())
    return a[3] & 15, bool(a[2] & 2), sorted(data)
def find(name):
    try: return sorted({a[4][0] for a in socket.getaddrinfo(name, 80)})
    except OSError as error: return error.strerror
"""
db, web, other, both, inner, out = start(
    Container("db", "--net", "shop", "--ip", "10.5.0.7", *own), Container("web", "--net", "shop", "--ip", "10.5.0.8", *own),
    Container("web", "--net", "shop", "--ip", "10.5.0.9", *own), Container("both", "--net", "dark,shop", "--ip", "10.6.0.5", *own),
    Container("inner", "--net", "dark", "--ip", "10.6.0.6", *own), Container("out", "--net", "nat", *own))
for container in (db, web, other, both, inner, out):
    container.does(f"exec({DIG!r}, globals())")
assert db.does("open('/etc/resolv.conf').read()").startswith("nameserver 127.0.0.11\n")
assert "127.0.0.11" not in out.does("open('/etc/resolv.conf').read()")

# By name, both families, by the C library and by hand, whatever the case; and the way back.
assert web.does("find('db')") == ["10.5.0.7", "fd05::7"], web.does("find('db')")
assert web.asks("db", 80) == "db"
for tcp in (False, True):
    assert web.does(f"dig('dB', 1, {tcp})") == (0, False, ["10.5.0.7"])
    assert web.does(f"dig('db', 28, {tcp})") == (0, False, ["fd05::7"])
    assert web.does(f"dig('db.shop', 1, {tcp})") == (0, False, ["10.5.0.7"])
    assert web.does(f"dig('db', 15, {tcp})") == (0, False, [])
    assert db.does(f"dig('web', 1, {tcp})") == (0, False, ["10.5.0.8", "10.5.0.9"])
    assert db.does(f"dig('8.0.5.10.in-addr.arpa', 12, {tcp})") == (0, False, ["\x03web\x04shop\0"])
    assert db.does(f"dig('99.0.5.10.in-addr.arpa', 12, {tcp})") == (3, False, [])
assert web.does("socket.gethostbyaddr('10.5.0.7')[0]") == "db.shop"
# What nobody has is told at once, and to nobody outside.
assert web.does("dig('nosuch')") == (3, False, [])
assert heard == [], heard
# The rest is asked outside, from the host: whoever has no answer is passed by.
assert web.does("dig('example.org')") == (0, False, ["192.0.2.0"])
assert web.does("dig('example.org', 1, True)") == (0, False, ["192.0.2.0"])
assert web.does("dig('long.test')") == (0, True, [])
assert len(web.does("dig('long.test', 1, True)")[2]) == 60
assert web.does("len(find('long.test'))") == 60, "the C library asks again by TCP"
assert set(heard) == {"\x07example\x03org", "\x04long\x04test"}, heard
# Who is in two networks finds both; of an internal one nothing leads out.
assert both.does("dig('inner')") == (0, False, ["10.6.0.6"]) and both.does("dig('db')")[2] == ["10.5.0.7"]
assert both.does("dig('both.dark')")[2] == ["10.6.0.5"] and len(both.does("dig('both')")[2]) == 2
assert inner.does("dig('db')") == (3, False, []) and inner.does("dig('both')") == (0, False, ["10.6.0.5"])
assert inner.does("dig('secret.example.org')") == (5, False, [])
assert inner.does("dig('secret.example.org', 1, True)") == (5, False, [])
assert not any("secret" in name for name in heard)
# On the network of strangers there are no names.
assert out.does("dig('db')") in ("ConnectionRefusedError", "TimeoutError")
# A list is for names too, unless a resolver is on it.
listed, asking = start(
    Container("listed", "--net", "shop", *own, "--allow", "192.0.2.9:1"),
    Container("asking", "--net", "shop", *own, "--allow", "127.0.0.9:53/udp"))
for container in (listed, asking):
    container.does(f"exec({DIG!r}, globals())")
assert listed.does("dig('secret.example.org')") == (5, False, []) and listed.does("dig('db')")[0] == 0
assert asking.does("dig('example.org')") == (0, False, ["192.0.2.0"])

# A name server inside is not in the way, nor are messages that are none.
server = "(lambda s: (s.connect(('127.0.0.1', 53)), s.send(b'?'), s.recv(9))[2])(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))"
assert web.does(server) == b"web:?", "the container's own, on port 53 of all addresses"
web.does("""[socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(bytes(os.urandom(n % 600)), ("127.0.0.11", 53)) for n in range(3000)] and None""")
web.does("""[(lambda s: (s.connect(("127.0.0.11", 53)), s.send(os.urandom(n)), s.close()))(socket.socket()) for n in range(1, 200)] and None""")
assert web.does("dig('db')") == (0, False, ["10.5.0.7"])
held = web.does("globals().update(held=[socket.create_connection(('127.0.0.11', 53)) for n in range(150)]) or len(held)")
assert held == 150 and web.does("dig('db')") == (0, False, ["10.5.0.7"]) and db.does("dig('db', 1, True)")[0] == 0
# Its process may do nothing and has no way into the container, which does not see it.
children = lambda pid: open(f"/proc/{pid}/task/{pid}/children").read().split()
status = [open(f"/proc/{child}/status").read() for child in children(web.process.pid)]
nobody = [text for text in status if "\nUid:\t65534\t65534\t65534\t65534\n" in text]
assert len(nobody) == 1 and "\nCapPrm:\t0000000000000000\n" in nobody[0] and "\nNoNewPrivs:\t1\n" in nobody[0], status
shown = json.loads(warren("net", "show", "--json", "shop").stdout)
assert sorted(m["name"] for m in shown["members"]) == ["asking", "both", "db", "listed", "web", "web"], shown
assert "  listed" in warren("net", "show", "shop").stdout

# Names come and go with who has them, also where a supervisor is killed.
other.end()
eventually("one is left", lambda: db.does("dig('web')") == (0, False, ["10.5.0.8"]))
db.process.kill()
db.process.wait()
eventually("it is gone", lambda: web.does("dig('db')") == (3, False, []))
assert web.does("dig('listed')")[0] == 0, "the others go on"
new, = start(Container("db", "--net", "shop", "--ip", "10.5.0.77"))
assert web.does("dig('db')") == (0, False, ["10.5.0.77"]), "at once"
for container in (web, both, inner, out, listed, asking, new):
    container.end()
warren("gc")
assert warren("net", "rm", "shop", "dark").returncode == 0
unchanged(before)
