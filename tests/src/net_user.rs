//! `warren run --net user`: a network without privilege.
//!
//! The host is a network namespace of the test's own, the outside a second one.

use warren_testkit::{Output, Test, program, run, staged, tests, warren};

pub const TESTS: &[Test] = tests! {
    User:
        twenty_megabytes_arrive_as_they_were_sent_in_both_directions,
        five_hundred_connections_at_once_are_kept_apart,
        an_end_in_one_direction_leaves_the_other_open,
        a_connection_fails_as_it_would_on_the_host,
        datagrams_come_back_from_whom_they_were_sent_to,
        names_are_looked_up_by_the_hosts_resolver,
        an_echo_comes_back,
        ipv6_works_like_ipv4,
        a_published_port_leads_inside,
        a_published_port_that_is_taken_is_found_before_the_start,
        the_hosts_loopback_cannot_be_reached,
        the_hosts_loopback_has_a_name_where_that_was_asked_for,
        what_listens_on_the_inner_loopback_stays_inside,
        only_places_that_are_allowed_can_be_reached,
        only_names_that_are_allowed_are_told_and_pinned,
        a_rate_is_kept,
        a_killed_supervisor_takes_the_network_along,
        the_outside_sees_the_hosts_address,
        nobody_inside_can_pretend_to_be_somebody_else,
        what_fits_together_is_checked_first;
};

/// What a script says on the ground of `ground.sh`.
#[track_caller]
fn on_ground(script: &str) -> Output {
    let whole = format!("{}\n{script}", include_str!("net_user/ground.sh"));
    let mut command = program("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--net",
        "--pid",
        "--mount-proc",
    ]);
    command.args(["--fork", "--kill-child", "bash", "-c", &whole]);
    command.env("OUTSIDE", include_str!("net_user/outside.py"));
    command.env("WARREN", staged("warren"));
    run(&mut command)
}

/// What a Python program says inside; `options` are of the run.
#[track_caller]
fn inside(options: &str, python: &str) -> Output {
    on_ground(&format!(
        "$inside {options} -- python3 -c '{PRELUDE}{python}'"
    ))
}

/// What the programs inside use.
const PRELUDE: &str = r#"
import errno, hashlib, select, socket, struct, sys, threading, time

def stream(word, address="198.51.100.2", port=8000):
    connected = socket.create_connection((address, port), timeout=60)
    connected.sendall(word.encode() + b"\n")
    return connected

def everything(connected):
    data = b""
    while more := connected.recv(1 << 20):
        data += more
    return data

def attempt(address, port=8000, timeout=20, kind=socket.SOCK_STREAM):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.settimeout(timeout)
    try:
        sock.connect((address, port))
        if kind == socket.SOCK_DGRAM:
            sock.send(b"word")
            sock.recv(10)
        return "reached"
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode[error.errno]
"#;

fn twenty_megabytes_arrive_as_they_were_sent_in_both_directions() {
    inside(
        "",
        r#"
length = 20_000_000
got = hashlib.sha256(everything(stream(f"get {length}"))).hexdigest()
block = bytes(range(251)) * 4096
data = (block * (length // len(block) + 1))[:length]
expected = hashlib.sha256(data).hexdigest()
sending = stream("put")
sending.sendall(data)
sending.shutdown(socket.SHUT_WR)
print(got == expected, everything(sending).decode() == expected)
"#,
    )
    .says("True True");
}

fn five_hundred_connections_at_once_are_kept_apart() {
    inside(
        "",
        r#"
all = [stream("echo") for _ in range(500)]
for number, one in enumerate(all):
    one.sendall(f"{number}\n".encode())
def line(one):
    data = b""
    while not data.endswith(b"\n"):
        data += one.recv(100)
    return int(data)
print([line(one) for one in all] == list(range(500)))
"#,
    )
    .says("True");
}

fn an_end_in_one_direction_leaves_the_other_open() {
    inside(
        "",
        r#"
sending = stream("put")
sending.sendall(b"word")
time.sleep(0.2)
sending.shutdown(socket.SHUT_WR)
print(everything(sending).decode() == hashlib.sha256(b"word").hexdigest())
"#,
    )
    .says("True");
}

fn a_connection_fails_as_it_would_on_the_host() {
    inside(
        "",
        r#"
print(attempt("198.51.100.2", 9), attempt("203.0.113.1"), attempt("2001:db8:9::1"))
print(attempt("198.51.100.77"), attempt("198.51.100.9", timeout=1))
"#,
    )
    .says("ECONNREFUSED ENETUNREACH ENETUNREACH\nEHOSTUNREACH timeout");
}

fn datagrams_come_back_from_whom_they_were_sent_to() {
    inside(
        "",
        r#"
for family, address in (socket.AF_INET, "198.51.100.2"), (socket.AF_INET6, "2001:db8:1::2"):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(10)
    for length in 0, 1, 1400, 60_000:
        sock.sendto(b"x" * length, (address, 8000))
        data, sender = sock.recvfrom(65536)
        print(len(data), sender[0] == address, sender[1], end="; ")
    print(attempt(address, 9, kind=socket.SOCK_DGRAM))
"#,
    )
    .says(
        "0 True 8000; 1 True 8000; 1400 True 8000; 60000 True 8000; ECONNREFUSED\n\
         0 True 8000; 1 True 8000; 1400 True 8000; 60000 True 8000; ECONNREFUSED",
    );
}

fn names_are_looked_up_by_the_hosts_resolver() {
    inside(
        "",
        r#"
print(socket.gethostbyname("any.test"), open("/etc/resolv.conf").read().split()[:2])
"#,
    )
    .says(
        "198.51.100.2 [\"nameserver\", \"10.0.2.3\"]"
            .replace('"', "'")
            .as_str(),
    );
}

const PING: &str = r#"
def ping(address):
    family, protocol, kind = (
        (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128) if ":" in address
        else (socket.AF_INET, socket.IPPROTO_ICMP, 8))
    sock = socket.socket(family, socket.SOCK_DGRAM, protocol)
    sock.settimeout(10)
    sock.sendto(struct.pack("!BBHHH", kind, 0, 0, 0, 7) + b"data", (address, 0))
    try:
        data, sender = sock.recvfrom(1000)
        return sender[0], struct.unpack("!H", data[6:8])[0], data[8:].decode()
    except OSError as error:
        return errno.errorcode[error.errno]
"#;

fn an_echo_comes_back() {
    let asked = format!(
        r#"{PING}
for address in "10.0.2.2", "198.51.100.2", "2001:db8:1::2":
    print(*ping(address))
"#
    );
    let allow = "echo 0 0 > /proc/sys/net/ipv4/ping_group_range";
    let script = format!("{allow}; $inside -- python3 -c '{PRELUDE}{asked}'");
    on_ground(&script).says("10.0.2.2 7 data\n198.51.100.2 7 data\n2001:db8:1::2 7 data");
    let asked = format!("{PING}\nprint(ping(\"198.51.100.2\"))");
    let forbid = "echo 1 0 > /proc/sys/net/ipv4/ping_group_range";
    let script = format!("{forbid}; $inside -- python3 -c '{PRELUDE}{asked}'");
    on_ground(&script)
        .complains("hint: sysctl net.ipv4.ping_group_range says which groups may");
}

fn ipv6_works_like_ipv4() {
    inside(
        "",
        r#"
address = "2001:db8:1::2"
print(len(everything(stream("get 1000000", address))), attempt(address, 9))
"#,
    )
    .says("1000000 ECONNREFUSED");
}

/// Listens inside, and answers each connection and datagram with who it is from.
const LISTENER: &str = r#"
listener = socket.create_server(("", 80))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("", 80))
print("listening", flush=True)
for _ in range(TIMES):
    for one in select.select([listener, datagrams], [], [])[0]:
        if one is listener:
            connected, peer = listener.accept()
            connected.sendall(peer[0].encode())
            connected.close()
        else:
            data, peer = datagrams.recvfrom(100)
            datagrams.sendto(data.upper(), peer)
"#;

fn a_published_port_leads_inside() {
    let listener = LISTENER.replace("TIMES", "4");
    let ask = r#"
print(everything(socket.create_connection(("127.0.0.1", 8080))).decode())
print(everything(socket.create_connection(("::1", 8080))).decode())
print(everything(socket.create_connection(("198.51.100.1", 8081))).decode())
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(10)
sock.sendto(b"word", ("127.0.0.1", 8080))
print(sock.recvfrom(100))
print(attempt("198.51.100.1", 8080))
"#;
    let options = "-p 8080:80 -p 0.0.0.0:8081:80 -p 8080:80/udp";
    on_ground(&format!(
        "$inside {options} -- python3 -c '{PRELUDE}{listener}' > listening &\n\
         until [ -s listening ]; do sleep 0.02; done\n\
         python3 -c '{PRELUDE}{ask}'; wait $!"
    ))
    .says(
        "10.0.2.100\n10.0.2.100\n10.0.2.100\n(b'WORD', ('127.0.0.1', 8080))\nECONNREFUSED",
    );
}

fn a_published_port_that_is_taken_is_found_before_the_start() {
    let script = "python3 -m http.server 8080 --bind 127.0.0.1 > /dev/null 2>&1 &\n\
                  until ss -ltn | grep -q :8080; do sleep 0.02; done\n\
                  $inside -p 8080:80 -- echo started";
    on_ground(script)
        .exits(125)
        .is_refused(
            "publish 8080:80/tcp: listen on 127.0.0.1:8080: Address already in use",
        )
        .lacks("started");
}

/// A server on the host's loopback.
const LOOPBACK_SERVER: &str = "python3 -c 'import socket; listener = socket.create_server((\"\", 9000))\n\
     while True: listener.accept()' &\n\
     until ss -ltn | grep -q :9000; do sleep 0.02; done\n";

fn the_hosts_loopback_cannot_be_reached() {
    let asked = r#"
for address in ("127.0.0.1", "127.0.0.2", "0.0.0.0", "10.0.2.2", "10.0.2.3", "::1", "::",
                "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:10.0.2.2"):
    print(attempt(address, 9000))
"#;
    let output = on_ground(&format!(
        "{LOOPBACK_SERVER}$inside -- python3 -c '{PRELUDE}{asked}'"
    ));
    output.says(["ECONNREFUSED"; 10].join("\n").as_str());
    output.complains("refused: connect 10.0.2.2:9000 (2 times); --host-loopback makes");
}

fn the_hosts_loopback_has_a_name_where_that_was_asked_for() {
    let asked =
        r#"print(attempt("host.warren.internal", 9000), attempt("127.0.0.1", 9000))"#;
    on_ground(&format!(
        "{LOOPBACK_SERVER}$inside --host-loopback -- python3 -c '{PRELUDE}{asked}'"
    ))
    .says("reached ECONNREFUSED");
}

fn what_listens_on_the_inner_loopback_stays_inside() {
    let inner = r#"
listener = socket.create_server(("127.0.0.1", 9000))
print(attempt("127.0.0.1", 9000), flush=True)
time.sleep(1)
"#;
    let outer = r#"print(attempt("127.0.0.1", 9000), attempt("198.51.100.1", 9000))"#;
    on_ground(&format!(
        "$inside -- python3 -c '{PRELUDE}{inner}' > listening &\n\
         until [ -s listening ]; do sleep 0.02; done\n\
         cat listening; python3 -c '{PRELUDE}{outer}'; wait $!"
    ))
    .says("reached\nECONNREFUSED ECONNREFUSED");
}

fn only_places_that_are_allowed_can_be_reached() {
    let output = inside(
        "--allow 198.51.100.2:8000 --allow 198.51.100.1:9/udp",
        r#"
print(attempt("198.51.100.2", 8000), attempt("198.51.100.2", 8001))
print(attempt("198.51.100.1", 8000), attempt("2001:db8:1::2", 8000))
print(attempt("198.51.100.2", 8000, kind=socket.SOCK_DGRAM))
try:
    socket.gethostbyname("secret.test")
except OSError as error:
    print("no name")
"#,
    );
    output.says("reached ECONNREFUSED\nECONNREFUSED ECONNREFUSED\nEHOSTUNREACH\nno name");
    output.complains(
        "refused: connect 198.51.100.2:8001; --allow 198.51.100.2:8001 allows it",
    );
    output.complains("--allow 198.51.100.2:8000/udp allows it");
    output.complains("--allow [2001:db8:1::2]:8000 allows it");
    output.complains("--allow-domain secret.test allows it");
}

fn only_names_that_are_allowed_are_told_and_pinned() {
    let output = inside(
        "--allow-domain allowed.test",
        r#"
print(attempt("198.51.100.2"))
print(socket.gethostbyname("www.allowed.test"), attempt("198.51.100.2"))
try:
    socket.gethostbyname("notallowed.test")
except OSError as error:
    print("no name")
"#,
    );
    output.says("ECONNREFUSED\n198.51.100.2 reached\nno name");
    output.complains("refused: look up notallowed.test");
}

fn a_rate_is_kept() {
    // 4 seconds each way.
    let output = inside(
        "--net-rate 10mbit",
        r#"
def seconds(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start
def send():
    sending = stream("put")
    sending.sendall(b"x" * 5_000_000)
    sending.shutdown(socket.SHUT_WR)
    everything(sending)
for took in seconds(lambda: everything(stream("get 5000000"))), seconds(send):
    print(3.6 < took < 8 or took)
"#,
    );
    output.says("True\nTrue");
}

fn a_killed_supervisor_takes_the_network_along() {
    on_ground(
        "$inside -p 8080:80 -- sh -c 'echo started; exec sleep 1000' > started & \n\
         until [ -s started ]; do sleep 0.02; done\n\
         kill -9 $!; wait $!\n\
         for n in $(seq 100); do ss -ltn | grep -q :8080 || break; sleep 0.05; done\n\
         ss -ltn | grep -c :8080; pgrep -x -c -r R,S,D,T warren; true",
    )
    .says("0\n0");
}

fn the_outside_sees_the_hosts_address() {
    inside("", r#"print(everything(stream("peer")).decode())"#)
        .says("::ffff:198.51.100.1");
}

fn nobody_inside_can_pretend_to_be_somebody_else() {
    // A datagram and the begin of a connection, with the address of somebody else.
    let output = inside(
        "--cap-add net_raw",
        r#"
def total(data):
    data += b"\0" * (len(data) % 2)
    value = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while value >> 16:
        value = (value & 0xffff) + (value >> 16)
    return value ^ 0xffff
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
def send(source, protocol, body):
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0)
    raw.sendto(head + socket.inet_aton(source) + socket.inet_aton("198.51.100.2") + body,
               ("198.51.100.2", 0))
for source in "198.51.100.1", "127.0.0.1", "10.0.2.2", "10.0.2.101":
    send(source, 17, struct.pack("!HHHH", 1000, 8000, 12, 0) + b"word")
    syn = struct.pack("!HHLLBBHHH", 1000, 8000, 1, 0, 0x50, 2, 1000, 0, 0)
    ends = socket.inet_aton(source) + socket.inet_aton("198.51.100.2")
    check = total(ends + struct.pack("!BBH", 0, 6, len(syn)) + syn)
    send(source, 6, syn[:16] + struct.pack("!H", check) + syn[18:])
# Garbage too: none of it is in the way of what comes after.
for number in range(2000):
    head = bytes([0x45 ^ (number % 7), number % 256]) + bytes(18)
    try:
        raw.sendto(head + bytes([number % 256]) * (number % 60), ("198.51.100.2", 0))
    except OSError:
        pass
print(len(everything(stream("get 100000"))))
"#,
    );
    output.says("100000");
}

fn what_fits_together_is_checked_first() {
    let refused = |options: &[&str], text: &str| {
        run(warren(["run"]).args(options).args(["--", "true"]))
            .exits(125)
            .is_refused(text);
    };
    refused(&["--net", "user", "--share", "net"], "--share net");
    refused(
        &["--net", "user", "--mac", "02:00:00:00:00:01"],
        "--mac: not with --net user",
    );
    refused(
        &["--allow-domain", "example.org"],
        "--allow-domain: it goes with --net user",
    );
    refused(
        &["--net", "user", "--allow-domain", "192.0.2.1"],
        "expected a name such as example.org",
    );
}
