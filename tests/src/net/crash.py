import random
random.seed(7)
before = machine()
delays = [random.uniform(0, 0.08 * PATIENCE) for _ in range(40)]
witness = None
for n, delay in enumerate(delays):
    if n == 20:
        # From here on somebody is alive, who must not notice.
        witness, = start(Container("witness", "--net", "nat", "-p", "8080:80"))
    words = [WARREN, "run", "--net", "nat", "-p", f"{7000 + n}:80", "--net-quota", "1G", "--allow", "192.0.2.1:1", "--", "sleep", "60"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    time.sleep(delay)
    process.kill()
    process.wait()
    collected = warren("gc")
    assert collected.returncode == 0, collected.stderr
    if witness is None:
        def clean():
            warren("gc")
            return machine() == before
        eventually("the machine is as before", clean)
assert ask("127.0.0.1", 8080) == "witness"
eventually("one member", lambda: warren("gc") and len(json.loads(warren("net", "show", "--json", "nat").stdout)["members"]) == 1)
assert ask("127.0.0.1", 8080) == "witness"
witness.end()
warren("gc")
unchanged(before)
