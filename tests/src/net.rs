//! Networks of root: each test is a script on a machine of its own, a network namespace with
//! nothing but its loopback and a /run of its own.

use warren_testkit::{Output, Test, program, run, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        an_option_of_networks_without_one_is_refused,
        a_port_an_address_or_a_rate_that_is_none_is_refused;
    User:
        links_of_the_hosts_need_root;
    Root:
        a_plan_says_what_is_connected_and_nothing_is_left_of_it,
        a_hundred_at_once_reach_each_other_and_leave_nothing,
        a_published_port_is_open_where_it_was_opened,
        nobody_reaches_spoofs_or_hears_another,
        our_tables_and_others_leave_each_other_alone,
        what_a_killed_supervisor_leaves_is_collected,
        rates_quotas_and_lists_hold,
        members_find_each_other_by_name,
        networks_have_names_and_members;
};

/// Runs a script there.
fn stage(script: &str) -> Output {
    const MACHINE: &str =
        "mount -t tmpfs tmpfs /run && ip link set lo up && exec python3 script.py";
    let binary = warren([""; 0]).get_program().to_owned();
    let script = format!("{}\n{script}", include_str!("net/stage.py"));
    let mut unshare = program("unshare");
    std::fs::write("script.py", script).expect("the own folder");
    unshare.args(["--net", "--mount", "sh", "-c", MACHINE]);
    unshare.env("WARREN", binary);
    if let Some(patience) = std::env::var_os("WARREN_TEST_PATIENCE") {
        unshare.env("WARREN_TEST_PATIENCE", patience);
    }
    run(&mut unshare)
}

fn an_option_of_networks_without_one_is_refused() {
    for option in [
        "--publish=80",
        "--ip=10.0.0.1",
        "--net-rate=1mbit",
        "--dns=192.0.2.1",
    ] {
        run(&mut warren(["run", option, "--", "true"]))
            .exits(125)
            .complains("there is no network that it could be of");
    }
}

fn a_port_an_address_or_a_rate_that_is_none_is_refused() {
    for (option, words) in [
        ("--publish=0:80", "a port is a number from 1 to 65535"),
        ("--publish=80-90:80", "as many ports of the host as inside"),
        ("--publish=::1:80:80", "stands in brackets"),
        ("--net-rate=10", "expected a rate such as"),
        ("--net-quota=lots", "is no size"),
        ("--allow=example.org", "expected HOST:PORT"),
        ("--mac=01:00:00:00:00:01", "expected six bytes"),
        ("--add-host=db", "expected NAME:ADDRESS"),
    ] {
        let command = &mut warren(["run", "--net", "nat", option, "--", "true"]);
        run(command).exits(125).complains(words);
    }
}

fn links_of_the_hosts_need_root() {
    run(&mut warren(["run", "--net", "nat", "--", "true"]))
        .exits(125)
        .complains("Operation not permitted");
}

fn a_plan_says_what_is_connected_and_nothing_is_left_of_it() {
    stage(
        "before = machine()\n\
         plan = warren('run', '--plan', '--net', 'nat', '-p', '8080:80', '--net-rate', '10mbit', '--', 'true')\n\
         assert re.search('connect eth0 in the network nat on bridge warren0: 10.87.[0-9.]+, fd57:.*; \
         publish 8080:80/tcp; 1250000 bytes a second each way', plan.stdout), plan\n\
         assert 'wait until the network is there' in plan.stdout\n\
         assert machine() == before",
    )
    .succeeds();
}

fn a_hundred_at_once_reach_each_other_and_leave_nothing() {
    stage(include_str!("net/hundred.py")).succeeds();
}

fn a_published_port_is_open_where_it_was_opened() {
    stage(include_str!("net/publish.py")).succeeds();
}

fn nobody_reaches_spoofs_or_hears_another() {
    stage(include_str!("net/isolation.py")).succeeds();
}

fn our_tables_and_others_leave_each_other_alone() {
    stage(include_str!("net/tables.py")).succeeds();
}

fn what_a_killed_supervisor_leaves_is_collected() {
    stage(include_str!("net/crash.py")).succeeds();
}

fn rates_quotas_and_lists_hold() {
    stage(include_str!("net/traffic.py")).succeeds();
}

fn members_find_each_other_by_name() {
    stage(include_str!("net/names.py")).succeeds();
}

fn networks_have_names_and_members() {
    stage(include_str!("net/named.py")).succeeds();
}
