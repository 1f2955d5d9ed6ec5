COUNT = 100 // PATIENCE
NEIGHBOURS = (1, 7, 33)
listen("127.0.0.1", 5000, "the host's loopback")
before = machine()
for port in (6000, 6001):
    containers = [
        Container(f"c{n}", "--net", "nat", "-p", f"0.0.0.0:{8000 + n}:80") for n in range(COUNT)
    ]
    start(*containers)
    assert len({c.v4 for c in containers}) == COUNT and len({c.v6 for c in containers}) == COUNT
    listen("0.0.0.0", port, "the host")
    for n, container in enumerate(containers):
        assert ask("127.0.0.1", 8000 + n) == container.name
    for n, container in enumerate(containers):
        others = [(n + k) % COUNT for k in NEIGHBOURS]
        asked = [f"ask('10.87.0.1', {8000 + k})" for k in others]
        asked += [f"ask({containers[k].v4!r}, 80)" for k in others]
        asked += [f"ask({containers[k].v6!r}, 80)" for k in others]
        container.tell(f"[{', '.join(asked)}, ask('10.87.0.1', {port}), ask('127.0.0.1', 5000)]")
    for n, container in enumerate(containers):
        heard = container.hear()
        names = [f"c{(n + k) % COUNT}" for k in NEIGHBOURS]
        assert heard == names * 3 + ["the host", "ConnectionRefusedError"], (container.name, heard)
    for container in containers:
        container.process.stdin.close()
    assert all(container.process.wait() == 0 for container in containers)
    unchanged(before)
