before = machine()
assert warren("net", "create", "shop", "--subnet", "10.5.0.0/28", "--subnet", "fd05::/64", "--mtu", "1400").returncode == 0
again = warren("net", "create", "shop")
assert again.returncode == 125 and "make the network shop: file exists" in again.stderr.lower(), again.stderr
for words, says in (
    (("x", "--subnet", "10.5.0.0/24"), "use the subnet 10.5.0.0/24"),
    (("x", "--subnet", "10.87.4.0/24"), "the network nat"),
    (("x", "--mtu", "9"), "1280"),
    (("x", "--macvlan", "nosuch"), "look for the link nosuch"),
    (("x", "--macvlan", "lo", "--internal"), "internal"),
    (("nat",), "name of a network"),
    (("../x",), "name of a network"),
):
    wrong = warren("net", "create", *words)
    assert wrong.returncode == 125 and says in wrong.stderr, (words, wrong.stderr)
listed = json.loads(warren("net", "ls", "--json").stdout)
assert listed["version"] == 1 and [n["name"] for n in listed["networks"]] == ["nat", "shop"]
assert "shop" in warren("net", "ls").stdout
a, b = start(Container("a", "--net", "shop", "--ip", "10.5.0.7", "--mac", "02:00:00:00:00:07"), Container("b", "--net", "shop,nat"))
assert a.v4 == "10.5.0.7" and a.v6 == "fd05::7"
assert len(b.addresses) == 4
assert "02:00:00:00:00:07" in a.does("__import__('subprocess').run(['ip', 'link'], capture_output=True, text=True).stdout")
assert "mtu 1400" in a.does("__import__('subprocess').run(['ip', 'link'], capture_output=True, text=True).stdout")
assert a.asks(b.v4, 80) == "b" and b.asks("fd05::7", 80) == "a"
shown = json.loads(warren("net", "show", "--json", "shop").stdout)
assert shown["mtu"] == 1400 and len(shown["members"]) == 2
taken = warren("run", "--net", "shop", "--ip", "10.5.0.7", "--", "true")
assert taken.returncode == 125 and "take the address 10.5.0.7" in taken.stderr
assert "no address of the network" in warren("run", "--net", "shop", "--ip", "10.5.0.1", "--", "true").stderr
busy = warren("net", "rm", "shop")
assert busy.returncode == 125 and "containers are in it: 2" in busy.stderr, busy.stderr
# Others join a namespace that is there.
inode = a.does("os.readlink('/proc/self/ns/net')")
pid = next(p for p in os.listdir("/proc") if p.isdigit() and os.path.exists(f"/proc/{p}/ns/net") and os.readlink(f"/proc/{p}/ns/net") == inode)
for word in (f"container:{pid}", f"ns:/proc/{pid}/ns/net"):
    joined = warren("run", "--net", word, "--", "readlink", "/proc/self/ns/net")
    assert joined.stdout.strip() == inode, joined
assert warren("run", "--net", "host", "--", "readlink", "/proc/self/ns/net").stdout.strip() == os.readlink("/proc/self/ns/net")
assert warren("run", "--net", "none", "--", "ls", "/sys/class/net").stdout.split() in ([], ["lo"])
for word, says in (("nosuch", "no network of that name"), ("ns:/nosuch", "no such file"), ("host,nat", "goes with no other"), ("nat,nat", "named twice")):
    wrong = warren("run", "--net", word, "--", "true")
    assert wrong.returncode == 125 and says in wrong.stderr.lower(), (word, wrong.stderr)
a.end()
b.end()
# A full network says so.
assert warren("net", "create", "tiny", "--subnet", "10.6.0.0/30").returncode == 0
one, = start(Container("one", "--net", "tiny"))
full = warren("run", "--net", "tiny", "--", "true")
assert full.returncode == 125 and "no space left" in full.stderr.lower(), full.stderr
one.end()
# macvlan: members are on the wire of the parent.
sh("ip link add wire type veth peer name plug; ip link set wire up; ip link set plug up; ip addr add 10.7.0.1/24 dev plug")
assert warren("net", "create", "wired", "--macvlan", "wire", "--subnet", "10.7.0.0/24").returncode == 0
listen("10.7.0.1", 5003, "the wire")
wired, = start(Container("wired", "--net", "wired"))
assert wired.asks("10.7.0.1", 5003) == "the wire"
assert ask(wired.v4, 80) == "wired"
assert warren("run", "--net", "wired", "-p", "1:1", "--", "true").returncode == 125
wired.end()
sh("ip link del wire")
assert warren("net", "rm", "shop", "tiny", "wired").returncode == 0
assert warren("net", "rm", "shop").returncode == 125
unchanged(before)
