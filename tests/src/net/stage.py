# What the scripts of these tests share. They run as root of a machine of their own: a network
# namespace with nothing but its loopback, and a /run of their own.
import glob, json, os, re, select, signal, socket, struct, subprocess, sys, threading, time

WARREN = os.environ["WARREN"]
PATIENCE = int(os.environ.get("WARREN_TEST_PATIENCE", "1"))


def sh(line):
    done = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return done.stdout


def warren(*words):
    return subprocess.run([WARREN, *words], capture_output=True, text=True)


def setting(path):
    try:
        return f"{path} {open(path).read()}"
    except FileNotFoundError:
        return f"{path} is going\n"


def machine():
    """All that networks could leave."""
    settings = sorted(glob.glob("/proc/sys/net/ipv[46]/conf/*/*forwarding"))
    values = "".join(setting(path) for path in settings)
    listings = ("ip -o link", "ip -o addr", "ip route", "ip -6 route", "nft list ruleset", "find /run")
    return "".join(sh(line) for line in listings) + values


def unchanged(before):
    """Waits until the machine is as it was: the kernel ends a namespace after its last process."""
    end = time.time() + 10 * PATIENCE
    while machine() != before:
        assert time.time() < end, "left behind:\n" + machine() + "\nbefore:\n" + before
        time.sleep(0.05)


def eventually(what, holds):
    end = time.time() + 10 * PATIENCE
    while not holds():
        assert time.time() < end, what
        time.sleep(0.05)


def listen(address, port, text):
    """A server of this machine that says one thing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen(256)

    def serve():
        while True:
            client, _ = server.accept()
            client.send(text.encode())
            client.close()

    threading.Thread(target=serve, daemon=True).start()


def ask(address, port, wait=10):
    """What a server says, or the name of the error."""
    try:
        client = socket.create_connection((address, port), wait * PATIENCE)
        text = client.recv(99).decode()
        client.close()
        return text
    except OSError as error:
        return type(error).__name__


INSIDE = r"""
import os, socket, struct, sys, threading, time
PATIENCE = %d
def serve(family, port):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(("", port)); s.listen(256)
    def go():
        while True:
            c, _ = s.accept(); c.send(os.environ["ME"].encode()); c.close()
    threading.Thread(target=go, daemon=True).start()
def echo(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", port))
    def go():
        while True:
            d, a = s.recvfrom(2048); s.sendto(os.environ["ME"].encode() + b":" + d, a)
    threading.Thread(target=go, daemon=True).start()
for port in [int(p) for p in os.environ.get("PORTS", "80").split()]:
    for family in (socket.AF_INET, socket.AF_INET6):
        serve(family, port)
echo(53)
def ask(address, port, wait=10):
    try:
        c = socket.create_connection((address, port), wait * PATIENCE)
        t = c.recv(99).decode(); c.close(); return t
    except OSError as error: return type(error).__name__
own = [l.split()[0] for l in open("/etc/hosts") if l.split()[1:] == [os.environ["ME"]]]
print(*own, flush=True)
for line in sys.stdin:
    print(repr(eval(line)), flush=True)
"""


class Container:
    """A container that serves its name, and evaluates what it is told."""

    def __init__(self, name, *options, ports="80"):
        words = [WARREN, "run", "--hostname", name, "--env", f"ME={name}", "--env", f"PORTS={ports}"]
        words += [*options, "--", "python3", "-I", "-S", "-c", INSIDE % PATIENCE]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name = name

    def up(self):
        line = self.process.stdout.readline()
        assert line, f"{self.name} did not start: {self.process.wait()}"
        self.addresses = line.split()
        return self

    @property
    def v4(self):
        return self.addresses[0]

    @property
    def v6(self):
        return self.addresses[1]

    def tell(self, expression):
        self.process.stdin.write(expression.replace("\n", " ") + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        assert line, f"{self.name} has ended"
        return eval(line)

    def does(self, expression):
        self.tell(expression)
        return self.hear()

    def asks(self, address, port, wait=10):
        return self.does(f"ask({address!r}, {port}, {wait})")

    def end(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


def start(*containers):
    return [container.up() for container in containers]
