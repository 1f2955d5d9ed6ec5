use super::*;

/// Reads a line whose words are divided by spaces; `--args N` finds `files[N]`.
fn request(line: &str, files: &[&str]) -> Result<Request, String> {
    let words = split(line);
    let mut read = |fd: RawFd| {
        let file = usize::try_from(fd).ok().and_then(|fd| files.get(fd));
        file.map(|line| split(line))
            .ok_or_else(|| Failure::usage("no such file"))
    };
    parse(&words, &mut read).map_err(|failure| failure.to_string())
}

fn split(line: &str) -> Vec<OsString> {
    let words = line.split(' ').filter(|word| !word.is_empty());
    words
        .map(|word| if word == "''" { "" } else { word }.into())
        .collect()
}

fn options(line: &str) -> Options {
    match request(line, &[]) {
        Ok(Request::Run(options)) => *options,
        other => panic!("{line}: {other:?}"),
    }
}

#[track_caller]
fn refused(line: &str, words: &str) {
    match request(line, &[]) {
        Err(message) => assert_eq!(message, words, "{line}"),
        Ok(Request::Run(options)) => {
            let message = options.check(false).map_err(|failure| failure.to_string());
            assert_eq!(message, Err(words.to_owned()), "{line}");
        }
        Ok(other) => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_command_begins_at_the_first_word_that_is_no_option() {
    let command = |line| options(line).command;
    assert_eq!(command("--proc /proc ls --bind"), ["ls", "--bind"]);
    assert_eq!(command("-- --proc /proc"), ["--proc", "/proc"]);
    assert_eq!(command("true -- x"), ["true", "--", "x"]);
    assert_eq!(command("--proc /proc"), [""; 0]);
    assert_eq!(command("--"), [""; 0]);
    assert_eq!(command("'' x"), ["", "x"]);
}

#[test]
fn help_and_version_stand_before_what_follows() {
    assert_eq!(request("--help --bogus", &[]), Ok(Request::Help));
    assert_eq!(request("--version --bogus", &[]), Ok(Request::Version));
    refused("--bogus --version", "Unknown option --bogus");
}

#[test]
fn an_option_has_no_other_spelling() {
    refused("--tmpfs=/x true", "Unknown option --tmpfs=/x");
    refused("-x", "Unknown option -x");
    refused("- true", "Unknown option -");
    refused("--tmpf /x true", "Unknown option --tmpf");
}

#[test]
fn values_that_are_missing_are_counted() {
    for option in [
        "--args",
        "--argv0",
        "--hostname",
        "--unsetenv",
        "--lock-file",
        "--sync-fd",
        "--proc",
        "--dev",
        "--tmpfs",
        "--mqueue",
        "--dir",
        "--seccomp",
        "--add-seccomp-fd",
        "--block-fd",
        "--userns-block-fd",
        "--info-fd",
        "--json-status-fd",
        "--cap-add",
        "--cap-drop",
        "--perms",
        "--size",
        "--uid",
        "--gid",
        "--userns",
        "--userns2",
        "--pidns",
        "--exec-label",
        "--file-label",
        "--overlay-src",
        "--tmp-overlay",
        "--ro-overlay",
    ] {
        refused(option, &format!("{option} takes an argument"));
    }
    for option in ["--chdir", "--remount-ro"] {
        refused(option, &format!("{option} takes one argument"));
    }
    for option in [
        "--bind",
        "--bind-try",
        "--ro-bind",
        "--ro-bind-try",
        "--dev-bind",
        "--dev-bind-try",
        "--bind-fd",
        "--ro-bind-fd",
        "--setenv",
        "--file",
        "--bind-data",
        "--ro-bind-data",
        "--symlink",
        "--chmod",
    ] {
        let words = format!("{option} takes two arguments");
        refused(option, &words);
        refused(&format!("{option} 3"), &words);
    }
    refused("--overlay a b", "--overlay takes three arguments");
}

#[test]
fn operations_keep_their_order() {
    let found =
        options("--ro-bind / / --tmpfs /tmp --symlink a /tmp/l --dev-bind-try b c x");
    let path = PathBuf::from;
    assert_eq!(
        found.operations,
        [
            Operation::Bind {
                source: Source::Path(path("/")),
                target: path("/"),
                access: Access::ReadOnly,
                devices: false,
                optional: false,
            },
            Operation::Tmpfs {
                target: path("/tmp"),
                mode: 0o755,
                size: None,
            },
            Operation::Symlink {
                content: path("a"),
                target: path("/tmp/l"),
            },
            Operation::Bind {
                source: Source::Path(path("b")),
                target: path("c"),
                access: Access::ReadWrite,
                devices: true,
                optional: true,
            },
        ]
    );
}

#[test]
fn what_is_made_has_the_modes_of_bubblewrap() {
    let found =
        options("--dir a --tmpfs b --file 3 c --bind-data 4 d --ro-bind-data 5 e x");
    let modes: Vec<u32> = found.operations.iter().filter_map(mode).collect();
    assert_eq!(modes, [0o755, 0o755, 0o666, 0o600, 0o600]);
}

fn mode(operation: &Operation) -> Option<u32> {
    match operation {
        Operation::Folder { mode, .. }
        | Operation::Tmpfs { mode, .. }
        | Operation::File { mode, .. } => Some(*mode),
        _ => None,
    }
}

#[test]
fn permissions_and_size_are_for_the_next_operation_only() {
    let found =
        options("--perms 1710 --size 0x10 --tmpfs a --tmpfs b --perms 7 --dir c x");
    assert_eq!(
        found.operations,
        [
            Operation::Tmpfs {
                target: "a".into(),
                mode: 0o1710,
                size: Some(16),
            },
            Operation::Tmpfs {
                target: "b".into(),
                mode: 0o755,
                size: None,
            },
            Operation::Folder {
                target: "c".into(),
                mode: 7,
            },
        ]
    );
    // Without a next one they are nothing to anybody.
    assert_eq!(options("--perms 700 true").command, ["true"]);
    assert_eq!(options("--size 5 true").command, ["true"]);
}

#[test]
fn permissions_and_size_are_refused_where_they_mean_nothing() {
    let words = "--perms must be followed by an option that creates a file";
    for next in [
        "--symlink a b",
        "--bind / /",
        "--remount-ro /",
        "--proc /proc",
        "--unshare-pid",
        "--chmod 7 a",
        "--setenv a b",
        "--ro-bind-fd 3 a",
    ] {
        refused(&format!("--perms 700 {next} --dir /a true"), words);
    }
    refused("--size 5 --dir /x", "--size must be followed by --tmpfs");
    refused(
        "--perms 7 --perms 7",
        "--perms given twice for the same action",
    );
    refused(
        "--size 5 --size 6",
        "--size given twice for the same action",
    );
    for wrong in ["x", "-1", "99", "10000", "''", "0x7"] {
        let words = "takes an octal argument <= 07777";
        refused(
            &format!("--perms {wrong} --dir /a"),
            &format!("--perms {words}"),
        );
        refused(&format!("--chmod {wrong} /a"), &format!("--chmod {words}"));
    }
    for wrong in ["0", "-5", "5k", "''", "x", "0x", "99999999999999999999"] {
        refused(
            &format!("--size {wrong} --tmpfs /a"),
            "--size takes a non-zero number of bytes",
        );
    }
    refused(
        "--size 9223372036854775808 --tmpfs /a",
        "--size (for tmpfs) is limited to 9223372036854775807",
    );
    assert_eq!(
        size("9223372036854775807".as_ref()).ok(),
        Some(u64::MAX / 2)
    );
}

#[test]
fn descriptors_are_whole_numbers() {
    for wrong in ["x", "-1", "''", "3x", "0x3", "99999999999"] {
        let words = format!("Invalid fd: {}", if wrong == "''" { "" } else { wrong });
        refused(&format!("--sync-fd {wrong}"), &words);
        refused(&format!("--args {wrong}"), &words);
        refused(&format!("--bind-fd {wrong} /x"), &words);
    }
    assert_eq!(descriptor(" +3".as_ref()).ok(), Some(3));
}

#[test]
fn ids_are_below_the_one_that_means_none() {
    for wrong in ["x", "-1", "4294967295", "5000000000"] {
        refused(&format!("--uid {wrong}"), &format!("Invalid uid: {wrong}"));
        refused(&format!("--gid {wrong}"), &format!("Invalid gid: {wrong}"));
    }
    let found = options("--unshare-user --uid 0 --gid 4294967294 x");
    assert_eq!((found.uid, found.gid), (Some(0), Some(u32::MAX - 1)));
}

#[test]
fn of_what_can_be_only_once_the_last_counts_and_the_user_hears_of_it() {
    for option in [
        "--chdir",
        "--hostname",
        "--uid",
        "--gid",
        "--seccomp",
        "--sync-fd",
        "--block-fd",
        "--userns-block-fd",
        "--info-fd",
        "--json-status-fd",
        "--userns",
        "--userns2",
        "--pidns",
    ] {
        let found = options(&format!("{option} 3 {option} 4 x"));
        let warning = format!("Only the last {option} option will take effect");
        assert_eq!(found.warnings, [warning]);
    }
    assert_eq!(options("--chdir a --chdir b x").chdir, Some("b".into()));
    refused("--argv0 a --argv0 b x", "--argv0 used multiple times");
}

#[test]
fn namespaces_are_taken_in_their_order() {
    let new = |line| options(line).unshare.to_string();
    assert_eq!(new("--unshare-all x"), "net,ipc,pid,uts,cgroup");
    assert_eq!(new("--unshare-all --share-net x"), "ipc,pid,uts,cgroup");
    assert_eq!(new("--share-net --unshare-net x"), "net");
    assert!(options("--unshare-all x").unshare_user_try);
    assert!(!options("--unshare-all x").unshare_user);
}

#[test]
fn words_of_a_file_stand_where_it_is_named() {
    let files = ["--dir a --dir b", "--dir c -- d", "--args 0", ""];
    let Ok(Request::Run(found)) =
        request("--args 0 --dir x --args 1 --args 3 --dir y true", &files)
    else {
        panic!("a good line");
    };
    let targets: Vec<_> = found
        .operations
        .iter()
        .map(|operation| match operation {
            Operation::Folder { target, .. } => target.display().to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    // What follows the options of a file is nobody's command.
    assert_eq!(targets, ["a", "b", "x", "c", "y"]);
    assert_eq!(found.command, ["true"]);
    assert_eq!(
        request("--args 2 true", &files),
        Err("--args not supported in arguments file".to_owned())
    );
}

#[test]
fn at_most_9000_words_are_taken() {
    let words = |count: usize| vec![OsString::from("x"); count];
    let read = |count: usize, file: usize| {
        let mut line = vec![OsString::from("--args"), "3".into()];
        line.extend(words(count));
        let pair = ["--dir", "/a"].map(OsString::from);
        let pairs = std::iter::repeat_n(pair, file / 2);
        let mut folders = |_| Ok(pairs.clone().flatten().collect());
        parse(&line, &mut folders).map_err(|failure| failure.to_string())
    };
    let too_many = Err("Exceeded maximum number of arguments 9000".to_owned());
    assert!(read(8998, 0).is_ok());
    assert_eq!(read(8999, 0), too_many);
    assert!(read(8000, 998).is_ok());
    assert_eq!(read(8000, 1000), too_many);
}

#[test]
fn layers_go_to_the_next_overlay() {
    let found = options(
        "--overlay-src a --overlay-src b --overlay u w /x --overlay-src c --tmp-overlay /y \
         --overlay-src d --overlay-src e --ro-overlay /z true",
    );
    let path = PathBuf::from;
    assert_eq!(
        found.operations,
        [
            Operation::Overlay {
                lower: vec![path("a"), path("b")],
                upper: Changes::Folder {
                    upper: path("u"),
                    work: path("w"),
                },
                target: path("/x"),
            },
            Operation::Overlay {
                lower: vec![path("c")],
                upper: Changes::Memory,
                target: path("/y"),
            },
            Operation::Overlay {
                lower: vec![path("d"), path("e")],
                upper: Changes::None,
                target: path("/z"),
            },
        ]
    );
    refused(
        "--overlay u w /x",
        "--overlay requires at least one --overlay-src",
    );
    refused(
        "--tmp-overlay /x",
        "--tmp-overlay requires at least one --overlay-src",
    );
    refused(
        "--overlay-src a --ro-overlay /x",
        "--ro-overlay requires at least two --overlay-src",
    );
    let words = "--overlay-src must be followed by another --overlay-src or one of \
                 --overlay, --tmp-overlay, or --ro-overlay";
    refused("--overlay-src a true", words);
    refused("--overlay-src a --chdir / true", words);
}

#[test]
fn filters_are_one_or_many() {
    refused(
        "--seccomp 3 --add-seccomp-fd 4 x",
        "--add-seccomp-fd cannot be combined with --seccomp",
    );
    refused(
        "--add-seccomp-fd 3 --seccomp 4 x",
        "--seccomp cannot be combined with --add-seccomp-fd",
    );
    let found = options("--add-seccomp-fd 3 --add-seccomp-fd 4 x");
    assert_eq!(found.seccomp_stack, [3, 4]);
}

#[test]
fn capabilities_are_changed_in_their_order() {
    let all = CapabilitySet::ALL;
    let set = |line: &str| {
        let changes = options(line).capabilities;
        changes
            .iter()
            .fold(CapabilitySet::EMPTY, |set, change| change.apply(set, all))
    };
    assert_eq!(set("--cap-add ALL x"), all);
    assert_eq!(set("--cap-add ALL --cap-drop ALL x"), CapabilitySet::EMPTY);
    assert_eq!(
        set("--cap-drop ALL --cap-add cap_kill x").to_string(),
        "cap_kill"
    );
    assert_eq!(
        set("--cap-add all --cap-drop CAP_KILL x"),
        all.without(Capability::KILL)
    );
    assert_eq!(set("--cap-add 5 x").to_string(), "cap_kill");
    for wrong in ["FOO", "kill", "CAP_", "63", "''"] {
        let name = if wrong == "''" { "" } else { wrong };
        refused(
            &format!("--cap-add {wrong} x"),
            &format!("unknown cap: {name}"),
        );
    }
}

#[test]
fn the_environment_changes_in_order() {
    let found = options("--setenv A b --clearenv --unsetenv A --setenv A '' x");
    assert_eq!(
        found.environment,
        [
            Variable::Set("A".into(), "b".into()),
            Variable::ClearAll,
            Variable::Unset("A".into()),
            Variable::Set("A".into(), "".into()),
        ]
    );
    for name in ["''", "a=b"] {
        refused(&format!("--setenv {name} x true"), "setenv failed");
        refused(&format!("--unsetenv {name} true"), "unsetenv failed");
    }
}

#[test]
fn rules_between_options_are_found_in_the_order_of_the_original() {
    for (line, words) in [
        (
            "--userns 3 --unshare-user",
            "--userns not compatible --unshare-user",
        ),
        (
            "--userns 3 --unshare-user-try",
            "--userns not compatible --unshare-user-try",
        ),
        (
            "--userns 3 --unshare-all",
            "--userns not compatible --unshare-user-try",
        ),
        (
            "--disable-userns",
            "--disable-userns requires --unshare-user",
        ),
        (
            "--userns-block-fd 3",
            "--userns-block-fd requires --unshare-user",
        ),
        (
            "--unshare-user --userns-block-fd 3",
            "--userns-block-fd requires --info-fd",
        ),
        (
            "--unshare-user --disable-userns --userns-block-fd 3",
            "--userns-block-fd requires --info-fd",
        ),
        (
            "--uid 5",
            "Specifying --uid requires --unshare-user or --userns",
        ),
        (
            "--gid 5",
            "Specifying --gid requires --unshare-user or --userns",
        ),
        (
            "--hostname x",
            "Specifying --hostname requires --unshare-uts",
        ),
        ("--as-pid-1", "Specifying --as-pid-1 requires --unshare-pid"),
        (
            "--as-pid-1 --unshare-pid --lock-file /x",
            "Specifying --as-pid-1 and --lock-file is not permitted",
        ),
    ] {
        refused(&format!("{line} true"), words);
    }
}

#[test]
fn labels_are_refused() {
    for option in ["--exec-label", "--file-label"] {
        refused(
            &format!("{option} x true"),
            "labeling not supported on this system",
        );
    }
}

#[test]
fn who_is_not_root_has_a_user_namespace_anyway() {
    for line in ["--uid 5 true", "--gid 5 true"] {
        assert!(options(line).check(true).is_ok(), "{line}");
    }
}
