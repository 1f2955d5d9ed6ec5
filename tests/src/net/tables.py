sh("nft add table inet mine; nft add chain inet mine c '{ type filter hook input priority 5; }'; nft add rule inet mine c counter")
before = machine()
web, = start(Container("web", "--net", "nat", "-p", "8080:80"))
other, = start(Container("other", "--net", "nat"))
assert ask("127.0.0.1", 8080) == "web"
# What nft makes of our messages.
listing = sh("nft list table inet warren") + sh("nft list table bridge warren")
for rule in (
    "dnat ip to meta l4proto . ip daddr . th dport map @publish4",
    "fib daddr type local dnat ip6 to meta l4proto . th dport map @any6",
    'iifname @bridges jump allowed',
    "iifname . oifname @same ct status dnat masquerade",
    "ip saddr @nat4 oifname != @bridges masquerade",
    "reject with icmpx admin-prohibited",
    "iifname . ether saddr . ip saddr @own4 accept",
    "quota name iifname map @quotas",
    'elements = { "warren0" comment "warren0" }',
    f"tcp . 127.0.0.1 . 8080 comment \"w0v",
    f": {web.v4} . 80",
):
    assert rule in listing, (rule, listing)
json.loads(sh("nft -j list ruleset"))
# A published port is one element and no rule.
rules = lambda: len(re.findall("masquerade|dnat|accept|drop", sh("nft list ruleset")))
count = rules()
third, = start(Container("third", "--net", "nat", "-p", "8082:80", "-p", "8083:80"))
assert rules() == count and ask("127.0.0.1", 8083) == "third"
# Another's table can be flushed, and made anew.
sh("nft flush table inet mine; nft delete table inet mine; nft add table inet mine")
assert ask("127.0.0.1", 8080) == "web" and web.asks(other.v4, 80) == "other"
sh("nft add chain inet mine c '{ type filter hook input priority 5; }'; nft add rule inet mine c counter")
for container in (web, other, third):
    container.end()
# Counters count on.
still = lambda text: re.sub(r"packets \d+ bytes \d+", "", text)
assert still(machine()) == still(before), machine()
