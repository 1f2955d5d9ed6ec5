//! Overlays, which Debian's bubblewrap does not have yet.

use warren_testkit::{Test, run, tests};

use crate::util_linux::{Newer, Targets, ours};

pub const TESTS: &[Test] = tests! {
    Both:
        layers_lie_over_each_other,
        changes_go_where_they_are_told,
        names_need_no_escaping,
        misuse_has_the_words_of_bubblewrap;
};

/// Two layers, of which the second hides `b` of the first, and what changes need.
const LAYERS: &str = "mkdir one two upper work; printf 1 >one/a; printf 2 >one/b; \
                      printf 3 >two/b; printf 4 >upper/a; ";

#[track_caller]
fn says(line: &str, text: &str) {
    let line = format!("rm -rf o; mkdir o; cd o; {LAYERS}{line}");
    run(&mut ours(&line)).says(text.trim_end());
}

fn layers_lie_over_each_other() {
    let tmp = "bwrap --ro-bind / / --tmpfs /tmp --overlay-src";
    says(
        &format!("{tmp} one --tmp-overlay /tmp/x/y cat /tmp/x/y/a /tmp/x/y/b"),
        "12",
    );
    says(
        &format!(
            "{tmp} one --overlay-src two --tmp-overlay /tmp/x cat /tmp/x/a /tmp/x/b"
        ),
        "13",
    );
    says(
        &format!(
            "{tmp} one --overlay-src two --ro-overlay /tmp/x sh -c 'cat /tmp/x/b; touch /tmp/x/c 2>/dev/null || echo no'"
        ),
        "3no\n",
    );
    says(
        &format!(
            "{tmp} one --overlay-src two --overlay upper work /tmp/x cat /tmp/x/a /tmp/x/b"
        ),
        "43",
    );
    says(
        &format!(
            "{tmp} one --tmp-overlay /tmp/x --overlay-src two --tmp-overlay /tmp/y sh -c 'printf 5 >/tmp/x/b; cat /tmp/x/b /tmp/y/b'; cat one/b two/b"
        ),
        "5323",
    );
}

fn changes_go_where_they_are_told() {
    says(
        "bwrap --bind / / --tmpfs /tmp --overlay-src one --overlay upper work /tmp/x \
         sh -c 'printf 5 >/tmp/x/b; printf 6 >/tmp/x/c'; cat upper/b upper/c one/b; ls one",
        "562a\nb\n",
    );
    says(
        "bwrap --bind / / --tmpfs /tmp --overlay-src one --tmp-overlay /tmp/x \
         sh -c 'printf 5 >/tmp/x/b'; cat one/b",
        "2",
    );
}

fn names_need_no_escaping() {
    says(
        r#"mkdir 'l ":,\' 'u ":,\' 'w ":,\'; printf 1 >'l ":,\'/a; \
           bwrap --bind / / --tmpfs /tmp --overlay-src 'l ":,\' --overlay 'u ":,\' 'w ":,\' /tmp/x \
           sh -c 'cat /tmp/x/a; printf 2 >/tmp/x/a; cat /tmp/x/a'; cat 'l ":,\'/a 'u ":,\'/a"#,
        "1212",
    );
}

fn misuse_has_the_words_of_bubblewrap() {
    Targets::default().newer(&[
        Newer(
            "bwrap --overlay upper work /tmp true",
            1,
            "",
            "bwrap: --overlay requires at least one --overlay-src",
        ),
        Newer(
            "bwrap --tmp-overlay /tmp true",
            1,
            "",
            "bwrap: --tmp-overlay requires at least one --overlay-src",
        ),
        Newer(
            "bwrap --overlay-src /usr --ro-overlay /tmp true",
            1,
            "",
            "bwrap: --ro-overlay requires at least two --overlay-src",
        ),
        Newer(
            "bwrap --overlay-src /tmp --chdir / true",
            1,
            "",
            "bwrap: --overlay-src must be followed by another --overlay-src or one of \
             --overlay, --tmp-overlay, or --ro-overlay",
        ),
        Newer(
            "bwrap --overlay-src /nonexistent --tmp-overlay /tmp true",
            1,
            "",
            "bwrap: Can't find source path /nonexistent: No such file or directory",
        ),
    ]);
}
