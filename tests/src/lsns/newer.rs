//! What Debian's lsns does not have yet, as the manuals of newer ones describe it.

use serde_json::Value;
use warren_testkit::{Test, golden, run, staged, tests, warren};

use super::{Burrow, ours};

pub const TESTS: &[Test] = tests! {
    Both:
        filters_choose_lines,
        a_filter_that_cannot_be_read_is_refused,
        columns_are_listed,
        help_and_version_are_told,
        json_is_compact_or_in_lines_by_the_environment,
        persistent_namespaces_have_no_processes,
        own_columns_are_shown_when_asked_for,
        the_name_of_the_called_file_chooses_it,
        a_namespace_without_processes_has_a_line,
        the_version_of_a_newer_one_makes_prefixes_ambiguous;
};

fn filters_choose_lines() {
    let burrow = Burrow::dig();
    let (pid, outside) = (burrow.pid, burrow.outside);
    // What is asked of the process, the filter, and the lines.
    let cases: &[(&str, &str, &str)] = &[
        ("-p {P} -o TYPE", "TYPE == 'uts'", "uts"),
        (
            "-p {P} -o TYPE",
            "TYPE == \"uts\" || TYPE == 'net'",
            "uts net",
        ),
        ("-p {P} -o TYPE", "NS == {uts}", "uts"),
        ("-p {P} -o TYPE", "NS == {uts} && NPROCS > 1", "uts"),
        ("-p {P} -o TYPE", "NS == {uts} AND NPROCS == 1", ""),
        ("-p {P} -o TYPE", "TYPE =~ '^(p|t)i'", "pid time"),
        (
            "-p {P} -o TYPE",
            "TYPE !~ '[[:alpha:]]{4}'",
            "mnt uts ipc pid net",
        ),
        ("-p {P} -o TYPE", "PID == {P}", "pid time"),
        ("-p {P} -o TYPE", "PNS", "user pid"),
        ("-p {P} -o TYPE", "NETNSID == 'unassigned'", "net"),
        ("-p {P} -o TYPE", "NETNSID && !NSFS", "net"),
        ("-p {P} -o TYPE", "COMMAND =~ 'no such command'", ""),
        ("-p {P} -o TYPE -t user", "ONS == PNS", "user"),
        ("{pid} -o PID", "COMMAND =~ '^sh -c sleep 1000'", "{P}"),
        ("{uts} -o PID", "PID == {OUT} or PID == {P}", "{OUT} {P}"),
        ("{pid} -o COMMAND", "PID == {ALONE}", "sleep\\x201001"),
        (
            "-T -p {P} -o TYPE",
            "ONS == {user} && TYPE != 'net' && PNS == 0",
            "mnt uts ipc cgroup time",
        ),
    ];
    for (words, filter, wanted) in cases {
        let filter = fill(&burrow, filter);
        let mut command = ours(&burrow.fill(words));
        let output = run(command.args(["-n", "-r", "-Q", &filter]));
        let mut lines: Vec<&str> = output.succeeds().lines().collect();
        let wanted = fill(&burrow, wanted);
        let mut wanted: Vec<&str> = wanted.split_whitespace().collect();
        // They come by inode, which a kernel may give in any order.
        lines.sort_unstable();
        wanted.sort_unstable();
        output.expect(&format!("{wanted:?}"), lines == wanted);
    }
    assert!(pid != outside);
    assert_eq!(cases.len(), 17);
}

fn fill(burrow: &Burrow, text: &str) -> String {
    burrow.fill(text).join(" ")
}

fn a_filter_that_cannot_be_read_is_refused() {
    let eof = "syntax error, unexpected end of file";
    let cases = [
        ("NS ==", format!("lsns: failed to parse \"NS ==\": {eof}\n")),
        ("(NS", format!("lsns: failed to parse \"(NS\": {eof}\n")),
        ("", format!("lsns: failed to parse \"\": {eof}\n")),
        (
            "foo == 5",
            "lsns: unknown column: foo\nlsns: failed to initialize filter\n".to_owned(),
        ),
        (
            "TYPE =~ '['",
            "lsns: failed to parse \"TYPE =~ '['\": Unmatched [, [^, [:, [., or [=\n"
                .to_owned(),
        ),
    ];
    for (filter, complaint) in cases {
        let output = run(&mut warren(["lsns", "--filter", filter]));
        output.exits(1);
        assert_eq!((output.stdout.as_str(), output.stderr), ("", complaint));
    }
}

fn columns_are_listed() {
    let said = |option: &str| {
        let mut command = warren(["lsns", "-H"]);
        if !option.is_empty() {
            command.arg(option);
        }
        run(&mut command).succeeds().to_owned() + "\n"
    };
    golden("lsns_columns", &(said("") + &said("-r") + &said("-J")));
    let json: Value = serde_json::from_str(&said("-J")).expect("JSON");
    assert_eq!(json["lsns-columns"][0]["type"], "<integer>");
}

fn help_and_version_are_told() {
    let help = run(&mut warren(["lsns", "--help"]));
    golden("lsns_help", &(help.succeeds().to_owned() + "\n"));
    let version = run(&mut warren(["lsns", "-V"]));
    version.expect(
        "",
        version.succeeds().starts_with("lsns from util-linux 2.43 "),
    );
}

fn json_is_compact_or_in_lines_by_the_environment() {
    let burrow = Burrow::dig();
    let said = |layout: &str| {
        let mut command = ours(&burrow.fill("{pid} -J -o PID,USER"));
        let output = run(command.env("LIBSMARTCOLS_JSON", layout));
        output.succeeds().to_owned()
    };
    let user = if rustix::process::geteuid().is_root() {
        "root"
    } else {
        "61234"
    };
    let words = "{pid} -l -J -o PID";
    let flat = run(ours(&burrow.fill(words)).env("LIBSMARTCOLS_JSON", "lines"));
    assert_eq!(
        flat.succeeds().lines().next(),
        Some(&*format!("{{\"pid\":{}}}", burrow.pid))
    );
    let compact = said("compact");
    let start = format!(
        "{{\"namespaces\":[{{\"pid\":{},\"user\":\"{user}\"",
        burrow.pid
    );
    // Without the column of the tree the list is flat.
    assert!(
        compact.starts_with(&(start + "},{")) && compact.lines().count() == 1,
        "{compact}"
    );
    assert_eq!(said("lines").lines().count(), 6);
    let parsed: Vec<Value> = [said("compact"), said("pretty")]
        .iter()
        .map(|text| serde_json::from_str(text).expect("JSON"))
        .collect();
    assert_eq!(parsed[0], parsed[1]);
}

fn persistent_namespaces_have_no_processes() {
    let output = run(&mut warren(["lsns", "-P", "-n", "-r", "-o", "NPROCS"]));
    for count in output.succeeds().lines() {
        assert_eq!(count, "0");
    }
    let refused = run(&mut warren(["lsns", "-P", "-p", "5"]));
    refused
        .exits(1)
        .complains("lsns: mutually exclusive arguments: --persistent --task");
}

fn own_columns_are_shown_when_asked_for() {
    let burrow = Burrow::dig();
    let all = run(&mut ours(&burrow.fill("-p {P} --output-all -t uts")));
    all.lacks("HELDBY")
        .lacks(" NSID")
        .lacks("HANDLE")
        .lacks("LABEL");
    let words = burrow.fill("-p {P} -t uts -n -r -o heldby");
    run(&mut ours(&words)).says(&format!("process:{}", burrow.outside));
    let words = burrow.fill("-p {P} -t uts -J -o NSID,HANDLE,LABEL");
    let output = run(&mut ours(&words));
    let json: Value = serde_json::from_str(output.succeeds()).expect("JSON");
    let row = &json["namespaces"][0];
    output.expect("a label", row["label"].is_string());
    // Both since Linux 6.18.
    if let Some(id) = row["nsid"].as_u64() {
        let handle = format!("uts:{}:{id}", super::inode(burrow.pid, "uts"));
        assert_eq!(row["handle"], handle);
    } else {
        output.expect("no handle either", row["handle"].is_null());
    }
}

fn the_name_of_the_called_file_chooses_it() {
    let link = warren_testkit::scratch().join("lsns");
    std::os::unix::fs::symlink(staged("warren"), &link).expect("symlink");
    let output = run(warren_testkit::program(&link).args(["-t", "nte"]));
    output.exits(1);
    assert_eq!(output.stderr, "lsns: unknown namespace type: nte\n");
}

fn a_namespace_without_processes_has_a_line() {
    let script = "exec unshare --user --map-root-user unshare --user --map-root-user \
        sh -c 'sleep 1000 & echo ready; wait'";
    let burrow = Burrow::with(&["--user", "--map-root-user"], script, 1);
    let between = run(&mut ours(&burrow.fill("-p {P} -t user -n -o PNS")));
    let between = between.succeeds().trim().to_owned();
    let output = run(&mut warren([
        "lsns",
        &between,
        "-n",
        "-r",
        "-o",
        "NS,PID,PPID",
    ]));
    output.says(&format!("{between}  "));
}

fn the_version_of_a_newer_one_makes_prefixes_ambiguous() {
    let output = run(&mut warren(["lsns", "--lis"]));
    output.exits(1).complains(
        "lsns: option '--lis' is ambiguous; possibilities: '--list' '--list-columns'\n\
         Try 'lsns --help' for more information.",
    );
}
