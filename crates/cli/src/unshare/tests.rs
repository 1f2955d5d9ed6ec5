//! Every form of every option, and the rules between them.

use super::*;
use warren_namespaces::IdMap;
use warren_spawn::transition::Map;

const CALLER: Caller = Caller {
    uid: 1000,
    gid: 100,
};

fn parsed(line: &str) -> Result<Transition, String> {
    let words: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
    let request = parse(&words).map_err(|failure| failure.to_string())?;
    match request {
        Request::Print(text) => Err(text),
        Request::Run(options, program) => {
            transition(&options, program, CALLER).map_err(|failure| failure.to_string())
        }
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

#[track_caller]
fn kinds(line: &str) -> String {
    good(line).create.set().to_string()
}

#[test]
fn every_kind_has_a_short_and_a_long_name() {
    let short = good("unshare -m -u -i -n -p -U -C -T true");
    let long =
        good("unshare --mount --uts --ipc --net --pid --user --cgroup --time true");
    assert_eq!(short.create.set(), NamespaceSet::ALL);
    assert_eq!(short, long);
    assert_eq!(good("unshare --all true").create.set(), NamespaceSet::ALL);
    assert_eq!(kinds("unshare -muin true"), "mnt,net,ipc,uts");
    assert_eq!(kinds("unshare true"), "");
}

#[test]
fn only_long_names_of_kinds_take_a_file() {
    let pinned = good("unshare --uts=/run/a --net=/run/b --uts=/run/c true");
    let pins: Vec<_> = pinned
        .create
        .pins
        .into_iter()
        .map(|pin| (pin.kind, pin.path))
        .collect();
    assert_eq!(
        pins,
        [(Kind::Net, "/run/b".into()), (Kind::Uts, "/run/c".into())]
    );
    complains("unshare -m=/x true", "invalid option -- '='");
}

#[test]
fn maps_imply_a_user_namespace() {
    for option in [
        "-r",
        "-c",
        "--map-user=5",
        "--map-group=5",
        "--map-users=0:1:1",
        "--map-groups=0:1:1",
    ] {
        assert_eq!(kinds(&format!("unshare {option} true")), "user", "{option}");
    }
    assert_eq!(kinds("unshare --map-users=all true"), "user");
}

#[test]
fn own_ids_are_root_or_oneself_or_named() {
    let own = |line| {
        let create = good(line).create;
        (create.uids, create.gids, create.setgroups)
    };
    let deny = Some(SetGroups::Deny);
    let pair = |uid, gid| (Some(Map::Own(uid)), Some(Map::Own(gid)), deny);
    assert_eq!(own("unshare -r true"), pair(0, 0));
    assert_eq!(own("unshare --map-user=5 --map-group=6 true"), pair(5, 6));
    assert_eq!(
        own("unshare --map-user=root --map-group=root true"),
        pair(0, 0)
    );
    assert_eq!(
        own("unshare --map-user=5 --map-user=7 true").0,
        Some(Map::Own(7))
    );
    assert_eq!(
        own("unshare --map-user=5 true"),
        (Some(Map::Own(5)), None, None)
    );
    let current = Caller::current();
    assert_eq!(own("unshare -c true"), pair(current.uid, current.gid));
    complains(
        "unshare --map-user=no-such true",
        "failed to parse uid 'no-such'",
    );
    complains(
        "unshare --map-group=no-such true",
        "failed to parse gid 'no-such'",
    );
}

#[test]
fn ranges_may_be_given_several_times() {
    let line = |inside, outside, count| IdMap {
        inside,
        outside,
        count,
    };
    let create = good("unshare --map-users=0:7:1 --map-users=200,100,10 true").create;
    assert_eq!(
        create.uids,
        Some(Map::Lines(vec![line(0, 7, 1), line(100, 200, 10)]))
    );
    let create = good("unshare --map-users=0:100000:1000 --map-user=0 true").create;
    assert_eq!(
        create.uids,
        Some(Map::Lines(vec![line(0, 1000, 1), line(1, 100_000, 999)]))
    );
    complains("unshare --map-users=1:2 true", "invalid mapping '1:2'");
    complains("unshare --map-groups=x true", "invalid mapping 'x'");
}

#[test]
fn setgroups_is_denied_with_an_own_group_and_else_as_told() {
    let setgroups = |line| good(line).create.setgroups;
    assert_eq!(setgroups("unshare -U true"), None);
    assert_eq!(
        setgroups("unshare -U --setgroups allow true"),
        Some(SetGroups::Allow)
    );
    assert_eq!(
        setgroups("unshare -U --setgroups=deny true"),
        Some(SetGroups::Deny)
    );
    complains(
        "unshare -r --setgroups=allow true",
        "options --setgroups=allow and --map-group are mutually exclusive",
    );
    complains(
        "unshare --setgroups foo true",
        "unsupported --setgroups argument 'foo'",
    );
}

#[test]
fn mounts_are_private_unless_told_and_untouched_without_their_namespace() {
    let propagation = |line: &str| good(line).create.propagation;
    assert_eq!(propagation("unshare true"), None);
    assert_eq!(propagation("unshare -m true"), Some(Propagation::Private));
    assert_eq!(propagation("unshare --propagation slave true"), None);
    for (word, how) in [
        ("slave", Some(Propagation::Slave)),
        ("shared", Some(Propagation::Shared)),
        ("private", Some(Propagation::Private)),
        ("unchanged", None),
    ] {
        assert_eq!(
            propagation(&format!("unshare -m --propagation={word} true")),
            how
        );
    }
    complains(
        "unshare --propagation x true",
        "unsupported propagation mode: x",
    );
}

#[test]
fn a_procfs_brings_a_mount_namespace_and_a_binfmt_misc_more() {
    let proc = good("unshare --mount-proc true").create;
    assert_eq!(
        (proc.set().to_string(), proc.proc),
        ("mnt".to_owned(), Some("/proc".into()))
    );
    assert_eq!(
        good("unshare --mount-proc=/x true").create.proc,
        Some("/x".into())
    );
    let binfmt = good("unshare --mount-binfmt true").create;
    assert_eq!(binfmt.set().to_string(), "mnt,user");
    assert_eq!(binfmt.proc, Some("/proc".into()));
    assert_eq!(binfmt.binfmt, Some(BINFMT.into()));
    let binfmt = good("unshare --mount-binfmt=/b true").create;
    assert_eq!((binfmt.proc, binfmt.binfmt), (None, Some("/b".into())));
    let loaded = good("unshare -l :a:M::x::/a: true").create;
    assert_eq!(loaded.interpreter, Some(":a:M::x::/a:".into()));
    assert_eq!(loaded.binfmt, Some(BINFMT.into()));
}

#[test]
fn four_options_fork() {
    let fork = |line| good(line).fork;
    assert_eq!(fork("unshare -p true"), None);
    assert_eq!(fork("unshare -f true"), Some(Fork::default()));
    let killed = |signal| Fork {
        death_signal: Some(signal),
        ..Fork::default()
    };
    assert_eq!(fork("unshare --kill-child true"), Some(killed(9)));
    assert_eq!(fork("unshare --kill-child=SIGTERM true"), Some(killed(15)));
    let forwarded = fork("unshare --forward-signals true").map(|fork| fork.relay);
    assert_eq!(forwarded, Some(Relay::Forward));
    assert_eq!(
        fork("unshare --add-init true").map(|fork| fork.init),
        Some(true)
    );
    complains("unshare --kill-child=15 true", "unknown signal: 15");
}

#[test]
fn clocks_are_shifted_in_a_time_namespace_only() {
    let offsets = good("unshare -T --monotonic -5 --boottime=7 true")
        .create
        .offsets;
    assert_eq!(offsets, [(Clock::Boottime, 7), (Clock::Monotonic, -5)]);
    complains(
        "unshare --monotonic 5 true",
        "options --monotonic and --boottime require unsharing of a time namespace (-T)",
    );
    complains(
        "unshare -T --monotonic 5x true",
        "failed to parse monotonic offset: '5x'",
    );
    complains(
        "unshare -T --boottime= true",
        "failed to parse boottime offset: ''",
    );
}

#[test]
fn folders_and_ids_are_taken_in_the_end() {
    let wanted = good("unshare -R /r -w /w -S 5 -G 6 true");
    let after = |path: &str| Some(Place::After(path.into()));
    assert_eq!((wanted.root, wanted.cwd), (after("/r"), after("/w")));
    let known = |id| Some(Identity::Known(id));
    assert_eq!((wanted.uid, wanted.gid), (known(5), known(6)));
    complains("unshare -S x true", "failed to parse uid: 'x'");
    complains("unshare -G 1x true", "failed to parse gid: '1x'");
}

#[test]
fn an_owner_is_a_user_and_a_group() {
    assert_eq!(
        good("unshare -U --owner 5:6 true").create.owner,
        Some((5, 6))
    );
    for text in ["5", "5:", "a:b"] {
        complains(
            &format!("unshare --owner {text} true"),
            "failed to parse owner",
        );
    }
}

#[test]
fn capabilities_are_kept_in_a_user_namespace_only() {
    assert!(good("unshare -U --keep-caps true").keep_capabilities);
    assert!(!good("unshare -n --keep-caps true").keep_capabilities);
}

#[test]
fn the_environment_is_kept_cleared_or_cut() {
    let names = |line| match good(line).env {
        Environment::Given(variables) => variables
            .into_iter()
            .map(|(name, _)| name)
            .collect::<Vec<_>>(),
        Environment::OfTarget => Vec::new(),
    };
    assert!(names("unshare true").len() > 1);
    assert!(names("unshare --clear-env true").is_empty());
    assert_eq!(names("unshare --whitelist-env PATH,NO_SUCH true"), ["PATH"]);
}

#[test]
fn without_a_program_the_shell_is_one_of_a_login() {
    let wanted = good("unshare --clear-env");
    let called = wanted.called.expect("another name");
    assert!(called.as_encoded_bytes().starts_with(b"-"), "{called:?}");
    assert_eq!(good("unshare true").called, None);
}

#[test]
fn options_end_at_the_program() {
    let ls = good("unshare -n ls -m --x");
    assert_eq!(
        (ls.argv, ls.create.kinds),
        (
            vec!["ls".into(), "-m".into(), "--x".into()],
            vec![Kind::Net]
        )
    );
}

#[test]
fn our_own_options_take_no_prefix_away() {
    // Each is what a prefix of util-linux's options meant before ours were there.
    for (prefix, long) in [
        ("--pi", "--pid"),
        ("--i", "--ipc"),
        ("--u", "--u"),
        ("--f", "--f"),
    ] {
        let result = parsed(&format!("unshare {prefix} true"));
        let own = result
            .as_ref()
            .err()
            .is_some_and(|text| text.contains("--plan") || text.contains("--a"));
        assert!(!own, "{prefix} {long}: {result:?}");
    }
    assert_eq!(kinds("unshare --i true"), "ipc");
}

#[test]
fn the_version_is_util_linuxs_and_ours() {
    let text = parsed("unshare -V").expect_err("a text");
    assert!(text.starts_with("unshare from util-linux 2.43 (warren "));
    let text = parsed("unshare -h").expect_err("a text");
    let missing = |known: &&Known<Key>| !text.contains(known.long.unwrap_or_default());
    assert_eq!(OPTIONS.iter().find(missing).map(|known| known.long), None);
}
