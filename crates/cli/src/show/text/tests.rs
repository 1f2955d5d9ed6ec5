use super::*;
use warren_inspect::{Inside, Interface, Missing, Net, Peer, Port, Route};

fn place(kind: Kind, own: bool) -> Place {
    Place {
        kind,
        inode: 4_026_532_251,
        own,
        owner: Some(4_026_531_837),
        parent: None,
        owner_uid: None,
        level: None,
        processes: 3,
        limit: Some(31_191),
        found: 2,
    }
}

fn view(kind: Kind, inside: Inside) -> View {
    View {
        name: "process 4242".to_owned(),
        pid: Some(4242),
        command: Some("sleep 1000".to_owned()),
        namespaces: vec![place(kind, false)],
        inside,
        unexamined: false,
    }
}

fn rendered(kind: Kind, inside: Inside, width: Option<usize>) -> String {
    let kinds = NamespaceSet::EMPTY.with(kind);
    render(&view(kind, inside), kinds, width)
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn net() -> Net {
    let eth0 = Interface {
        index: 2,
        name: "eth0".to_owned(),
        kind: text("veth"),
        up: Some(true),
        state: text("up"),
        mtu: Some(1500),
        mac: text("02:fc:00:00:00:01"),
        addresses: vec!["10.0.0.2/24".to_owned()],
        master: None,
        peer: Some(Peer {
            index: 7,
            name: text("veth1"),
            netnsid: Some(0),
            namespace: Some(4_026_531_840),
        }),
    };
    let route = Route {
        destination: "default".to_owned(),
        gateway: text("10.0.0.1"),
        interface: text("eth0"),
        kind: "unicast".to_owned(),
        metric: None,
        table: 254,
    };
    let port = Port {
        protocol: "tcp".to_owned(),
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        port: 80,
        uid: 0,
        inode: 1,
        pid: Some(4242),
        command: text("httpd"),
    };
    Net {
        interfaces: vec![eth0],
        routes: vec![route],
        ports: vec![port],
        whole: true,
    }
}

#[test]
fn a_network_reads_as_tables() {
    let inside = Inside {
        net: Some(net()),
        ..Inside::default()
    };
    let expected = "\
process 4242: sleep 1000

net:[4026532251]
  3 processes, owner user:[4026531837], max_net_namespaces 31191, 2 found
  INTERFACE  STATE  MTU   MAC                KIND  TIED TO
  eth0       up     1500  02:fc:00:00:00:01  veth  peer veth1 in net:[4026531840]
  ADDRESS
  10.0.0.2/24  on eth0
  ROUTE TO
  default   via 10.0.0.1 dev eth0
  PORT  ADDRESS       PROCESS
  tcp   127.0.0.1:80  4242 httpd
";
    assert_eq!(rendered(Kind::Net, inside, None), expected);
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    for width in [20, 40, 80] {
        let inside = Inside {
            net: Some(net()),
            ..Inside::default()
        };
        let text = rendered(Kind::Net, inside, Some(width));
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(width), "{width}:\n{text}");
    }
}

#[test]
fn a_thousand_interfaces_are_a_thousand_lines() {
    let interface = |index| Interface {
        index,
        name: format!("veth{index}"),
        ..Interface::default()
    };
    let inside = Inside {
        net: Some(Net {
            interfaces: (1..=1000).map(interface).collect(),
            ..Net::default()
        }),
        ..Inside::default()
    };
    let text = rendered(Kind::Net, inside, None);
    assert_eq!(
        text.lines().filter(|line| line.contains("veth")).count(),
        1000
    );
}

#[test]
fn a_hostile_host_name_cannot_talk_to_the_terminal() {
    let inside = Inside {
        uts: Some(Uts {
            hostname: "a\nb\u{1b}[2J\u{202e}".to_owned(),
            domainname: None,
        }),
        ..Inside::default()
    };
    let text = rendered(Kind::Uts, inside, None);
    assert!(
        text.ends_with("  hostname  a\\nb\\u{1b}[2J\\u{202e}\n"),
        "{text}"
    );
}

#[test]
fn what_was_not_seen_is_said_with_its_reason() {
    let inside = Inside {
        missing: vec![Missing {
            kind: Kind::Ipc,
            what: "everything".to_owned(),
            errno: 1,
            reason: "Operation not permitted".to_owned(),
        }],
        ..Inside::default()
    };
    let text = rendered(Kind::Ipc, inside, None);
    assert!(
        text.contains("not seen: everything (Operation not permitted)"),
        "{text}"
    );
    assert!(text.contains("Run as root"), "{text}");
}

#[test]
fn a_process_that_may_not_be_examined_has_no_inodes() {
    let view = View {
        namespaces: Vec::new(),
        unexamined: true,
        ..view(Kind::Uts, Inside::default())
    };
    let text = render(&view, NamespaceSet::EMPTY.with(Kind::Uts), None);
    assert!(text.contains("uts:[?]\n  not seen: "), "{text}");
}

#[test]
fn a_limit_says_which_cgroup_has_it() {
    let of = |most| Amount {
        used: Some(12 << 20),
        limit: most,
    };
    let limit = warren_inspect::Limit {
        most: 256 << 20,
        of: "/docker/abc".into(),
    };
    assert_eq!(
        amount(&of(Some(limit)), bytes),
        "12.0M of 256.0M (set in /docker/abc)"
    );
    assert_eq!(amount(&of(None), bytes), "12.0M used, no limit");
}
