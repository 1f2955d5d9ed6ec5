//! Every form of every option, and the rules between them.

use super::*;

fn parsed(line: &str) -> Result<Transition, String> {
    let words: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
    let request = parse(&words).map_err(|failure| failure.to_string())?;
    match request {
        Request::Print(text) => Err(text),
        Request::Run(options, program) => options
            .transition(program)
            .map_err(|failure| failure.to_string()),
    }
}

#[track_caller]
fn good(line: &str) -> Transition {
    match parsed(line) {
        Ok(transition) => transition,
        Err(complaint) => panic!("{line}: {complaint}"),
    }
}

#[track_caller]
fn complains(line: &str, words: &str) {
    let complaint = parsed(line).expect_err(line);
    assert_eq!(complaint.lines().next(), Some(words), "{line}");
}

#[test]
fn a_kind_is_the_targets_or_a_files() {
    let both = good("nsenter -t 7 -n --uts=/run/uts -i/run/ipc -m=/run/mnt true");
    assert_eq!(both.enter.kinds, [Kind::Net]);
    let path = |kind, path: &str| (kind, Source::Path(path.into()));
    assert_eq!(
        both.enter.others,
        [
            path(Kind::Uts, "/run/uts"),
            path(Kind::Ipc, "/run/ipc"),
            path(Kind::Mnt, "/run/mnt"),
        ]
    );
}

#[test]
fn every_kind_has_a_short_and_a_long_name() {
    let short = good("nsenter -t 7 -m -u -i -n -p -U -C -T true");
    let long = good(
        "nsenter --target 7 --mount --uts --ipc --net --pid --user --cgroup --time true",
    );
    assert_eq!(short.enter.kinds, Kind::ALL);
    assert_eq!(short, long);
}

#[test]
fn the_last_word_about_a_kind_holds() {
    let last = good("nsenter -t 7 -n --net=/a --net=/b true");
    assert_eq!(last.enter.others, [(Kind::Net, Source::Path("/b".into()))]);
    assert_eq!(
        good("nsenter -t 7 --net=/a -n true").enter.kinds,
        [Kind::Net]
    );
}

#[test]
fn a_namespace_has_an_id() {
    let by_id = good("nsenter --net=:4711 true");
    assert_eq!(by_id.enter.others, [(Kind::Net, Source::Id(4711))]);
    complains("nsenter --net=:x true", "failed to parse nsid: x");
}

#[test]
fn a_target_is_a_pid_and_maybe_an_inode() {
    let target = |line| {
        good(line)
            .enter
            .target
            .map(|target| (target.pid, target.pidfd_inode))
    };
    assert_eq!(target("nsenter -t 7 -n true"), Some((7, None)));
    assert_eq!(target("nsenter -t7:99 -n true"), Some((7, Some(99))));
    complains("nsenter -t x -n true", "invalid PID argument");
    complains("nsenter -t 0 -n true", "invalid PID argument");
    complains("nsenter -t -5 -n true", "invalid PID argument");
    complains("nsenter -t 7:y -n true", "invalid PID argument");
    complains(
        "nsenter -t 7 -t 8 -n true",
        "option --target may be given only once",
    );
}

#[test]
fn what_is_the_targets_needs_a_target() {
    for line in ["-n", "-c", "-N 3", "-S follow", "-G follow"] {
        complains(&format!("nsenter {line} true"), "no target PID specified");
    }
    for (option, file) in [("-r", "root"), ("-w", "cwd"), ("-e", "environ")] {
        complains(
            &format!("nsenter {option} true"),
            &format!("neither filename nor target pid supplied for {file}"),
        );
    }
    complains(
        "nsenter -a true",
        "stat of /proc/0/ns/user failed: No such file or directory",
    );
    complains("nsenter true", "no namespace specified");
    complains("nsenter -t 7 true", "no namespace specified");
}

#[test]
fn all_leaves_the_own_user_namespace_and_what_is_named_otherwise() {
    let own = std::process::id();
    let all = good(&format!("nsenter -a -t {own} true"));
    let kinds: NamespaceSet = all.enter.kinds.iter().copied().collect();
    assert_eq!(kinds, NamespaceSet::ALL.without(Kind::User));
    let all = good(&format!("nsenter -a --net=/x -t {own} true"));
    assert!(!all.enter.kinds.contains(&Kind::Net));
    let parsed = parsed("nsenter -a -t 4294967295 true").expect_err("no such process");
    assert!(parsed.starts_with("stat of /proc/4294967295/ns/user failed: "));
}

#[test]
fn folders_are_the_targets_or_given_before_or_after() {
    let before = |path: &str| Some(Place::Before(path.into()));
    let both = good("nsenter -t 7 -r -w true");
    assert_eq!(
        (both.root, both.cwd),
        (Some(Place::OfTarget), Some(Place::OfTarget))
    );
    let both = good("nsenter -r/a -w=/b true");
    assert_eq!((both.root, both.cwd), (before("/a"), before("/b")));
    let both = good("nsenter --root=/a --wd=/b true");
    assert_eq!((both.root, both.cwd), (before("/a"), before("/b")));
    assert_eq!(
        good("nsenter -W/b true").cwd,
        Some(Place::After("/b".into()))
    );
    complains(
        "nsenter -w/a -W/b true",
        "options --wd and --wdns cannot be combined",
    );
}

#[test]
fn in_another_user_namespace_the_program_is_root_unless_told() {
    let known = |id| Some(Identity::Known(id));
    let ids = |line| {
        let wanted = good(line);
        (wanted.uid, wanted.gid)
    };
    assert_eq!(ids("nsenter -t 7 -n true"), (None, None));
    assert_eq!(ids("nsenter -t 7 -U true"), (known(0), known(0)));
    assert_eq!(ids("nsenter -t 7 -U -S 5 true"), (known(5), known(0)));
    assert_eq!(ids("nsenter -t 7 -n -G 5 true"), (None, known(5)));
    assert_eq!(
        ids("nsenter -t 7 -U --preserve-credentials true"),
        (None, None)
    );
    assert_eq!(
        ids("nsenter -t 7 -U --preserve-credentials -G 5 true"),
        (None, known(5))
    );
    assert!(good("nsenter -t 7 -U --preserve-credentials true").keep_groups);
    let follow = Some(Identity::OfTarget);
    assert_eq!(
        ids("nsenter -t 7 -n -S follow -G follow true"),
        (follow, follow)
    );
    assert_eq!(ids("nsenter --user=/x true"), (known(0), known(0)));
    complains("nsenter -S foo true", "failed to parse uid: 'foo'");
    complains("nsenter -G 1x true", "failed to parse gid: '1x'");
}

#[test]
fn a_pid_namespace_takes_a_fork_unless_told() {
    assert!(good("nsenter -t 7 -p true").fork.is_some());
    assert!(good("nsenter --pid=/x true").fork.is_some());
    assert!(good("nsenter -t 7 -p -F true").fork.is_none());
    assert!(good("nsenter -t 7 -n true").fork.is_none());
}

#[test]
fn capabilities_are_kept_where_a_user_namespace_is_entered() {
    assert!(good("nsenter -t 7 -U --keep-caps true").keep_capabilities);
    assert!(!good("nsenter -t 7 -n --keep-caps true").keep_capabilities);
}

#[test]
fn a_socket_and_an_owner_replace_a_kind() {
    let socket = good("nsenter -t 7 -n -U -N 3 --user-parent true");
    assert_eq!(socket.enter.kinds, []);
    assert_eq!(
        socket.enter.others,
        [(Kind::Net, Source::Socket(3)), (Kind::User, Source::Owner)]
    );
    complains(
        "nsenter -t 7 -N -1 true",
        "failed to parse file descriptor: '-1'",
    );
}

#[test]
fn options_end_at_the_program() {
    let ls = good("nsenter -t 7 -n ls -n -p");
    assert_eq!(ls.argv, ["ls", "-n", "-p"]);
    assert!(ls.fork.is_none());
}

#[test]
fn getopts_complaints_have_a_second_line() {
    let complaint = parsed("nsenter --bogus").expect_err("no such option");
    assert_eq!(
        complaint,
        "unrecognized option '--bogus'\nTry 'nsenter --help' for more information."
    );
    complains(
        "nsenter --u",
        "option '--u' is ambiguous; possibilities: '--uts' '--user' '--user-parent'",
    );
}

#[test]
fn the_environment_is_the_callers_or_the_targets() {
    assert_eq!(good("nsenter -t 7 -e true").env, Environment::OfTarget);
    assert!(matches!(
        good("nsenter -t 7 -n true").env,
        Environment::Given(_)
    ));
}

#[test]
fn the_version_is_util_linuxs_and_ours() {
    let text = parsed("nsenter -V").expect_err("a text");
    assert!(text.starts_with("nsenter from util-linux 2.43 (warren "));
    let text = parsed("nsenter -h").expect_err("a text");
    let missing = |known: &&Known<Key>| !text.contains(known.long.unwrap_or_default());
    assert_eq!(OPTIONS.iter().find(missing).map(|known| known.long), None);
}
