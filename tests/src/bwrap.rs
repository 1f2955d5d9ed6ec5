//! `bwrap`: the same lines on Debian's bubblewrap and on Warren's.

mod callers;
mod escapes;
mod life;
mod overlays;

use warren_testkit::{Test, run, tests, warren};

use crate::util_linux::{Newer, Targets, ours};

/// All of this personality's tests, by file.
pub const TESTS: [&[Test]; 5] = [
    OPTIONS,
    life::TESTS,
    overlays::TESTS,
    callers::TESTS,
    escapes::TESTS,
];

const OPTIONS: &[Test] = tests! {
    Both:
        command_lines_are_understood_as_by_bubblewrap,
        roots_are_put_together_as_by_bubblewrap,
        failures_of_files_have_the_words_of_bubblewrap,
        namespaces_and_ids_are_as_with_bubblewrap,
        environment_and_folder_are_as_with_bubblewrap,
        what_newer_versions_have,
        it_is_a_command_of_warren_too,
        help_names_the_file_it_was_called_as,
        it_finds_itself_under_the_name_of_proc,
        messages_have_a_level_if_asked_for;
    User:
        nothing_is_left_of_capabilities_but_what_is_added;
    Root:
        root_keeps_its_capabilities_as_with_bubblewrap;
};

const LINES: &[&str] = &[
    "bwrap 2>&1 | head -1",
    "bwrap -- 2>&1 | head -1",
    "bwrap >/dev/null 2>&1",
    "bwrap --help | head -1",
    "bwrap --help --bogus >/dev/null",
    "bwrap --version | cut -d' ' -f1",
    "bwrap --bogus --version",
    "bwrap --bogus",
    "bwrap -x",
    "bwrap - true",
    "bwrap --tmpfs=/x true",
    "bwrap --args",
    "bwrap --chdir",
    "bwrap --remount-ro",
    "bwrap --setenv x",
    "bwrap --bind /",
    "bwrap --file 3",
    "bwrap --chmod 755",
    "bwrap --sync-fd x true",
    "bwrap --sync-fd -1 true",
    "bwrap --args '' true",
    "bwrap --args 9 true",
    "bwrap --uid x true",
    "bwrap --uid -1 true",
    "bwrap --gid 4294967295 true",
    "bwrap --uid 5 true",
    "bwrap --gid 5 true",
    "bwrap --hostname x true",
    "bwrap --as-pid-1 true",
    "bwrap --as-pid-1 --unshare-pid --lock-file /x true",
    "bwrap --disable-userns true",
    "bwrap --userns-block-fd 3 true",
    "bwrap --unshare-user --userns-block-fd 3 true",
    "bwrap --userns 3 --unshare-user true 3</proc/self/ns/user",
    "bwrap --userns 3 --unshare-user-try true 3</proc/self/ns/user",
    "bwrap --userns 3 --unshare-all true 3</proc/self/ns/user",
    "bwrap --userns 3 true 3</dev/null",
    "bwrap --userns 3 true 3</proc/self/ns/net",
    "bwrap --userns 33 true",
    "bwrap --size 0 --tmpfs /x",
    "bwrap --size 5k --tmpfs /x",
    "bwrap --size -5 --tmpfs /x",
    "bwrap --size '' --tmpfs /x",
    "bwrap --size 18446744073709551616 --tmpfs /x",
    "bwrap --size 9223372036854775809 --tmpfs /x",
    "bwrap --size 5 --dir /x",
    "bwrap --size 5 --size 6 --tmpfs /x",
    "bwrap --perms 99 --dir /x true",
    "bwrap --perms 10000 --dir /x true",
    "bwrap --perms '' --dir /x true",
    "bwrap --perms 700 --perms 700 --dir /x",
    "bwrap --perms 700 --symlink a b true",
    "bwrap --perms 700 --bind / / true",
    "bwrap --perms 700 --unshare-pid --dir /a true",
    "bwrap --chmod x /y true",
    "bwrap --cap-add FOO true",
    "bwrap --cap-drop chown true",
    "bwrap --seccomp 3 --add-seccomp-fd 3 true",
    "bwrap --exec-label x true",
    "bwrap --file-label x true",
    "bwrap --setenv '' x true",
    "bwrap --setenv a=b x true",
    "bwrap --unsetenv '' true",
    "bwrap $(seq 9001)",
    "bwrap --ro-bind / / $(seq 8997)",
    "bwrap --chdir /a --chdir / --ro-bind / / pwd",
    "bwrap --unshare-uts --hostname a --hostname b --ro-bind / / hostname",
    "bwrap --ro-bind / / --uid 5",
    "printf '%s\\0' --ro-bind / / --dir >a; printf '%s\\0' /proc/x >b; bwrap --args 3 --args 4 true 3<a 4<b",
    "printf '%s\\0' --ro-bind / / >a; bwrap --args 3 echo in 3<a",
    "printf '%s\\0' --ro-bind / / echo no >a; bwrap --args 3 echo in 3<a",
    "printf '%s\\0' --ro-bind / / -- echo no >a; bwrap --args 3 echo in 3<a",
    "printf '%s\\0' --args 4 >a; bwrap --args 3 echo in 3<a 4<a",
    "printf '%s\\0' --bogus >a; bwrap --args 3 echo in 3<a",
    "bwrap --args 3 --ro-bind / / echo in 3</dev/null",
    "bwrap --ro-bind / / -- echo --bind",
    "bwrap --ro-bind / / echo -- a",
    "bwrap --ro-bind / / -- --dev-bind /dev /dev true",
];

const FILES: &[&str] = &[
    "bwrap --ro-bind / / ls -d /usr",
    "bwrap --bind / / sh -c 'echo x >f'; cat f",
    "bwrap --ro-bind / / sh -c 'echo x >f' 2>/dev/null",
    "bwrap --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib64 /lib64 --symlink usr/lib /lib ls /",
    "bwrap --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib64 /lib64 --symlink usr/lib /lib touch /x",
    "bwrap --ro-bind / / --tmpfs /tmp sh -c 'stat -c %a /tmp; ls -A /tmp; touch /tmp/x'",
    "bwrap --ro-bind / / --tmpfs /tmp --dir /tmp/a/b stat -c '%a %n' /tmp/a /tmp/a/b",
    "bwrap --ro-bind / / --perms 1741 --tmpfs /tmp --perms 0710 --dir /tmp/a/b stat -c '%a %n' /tmp /tmp/a /tmp/a/b",
    "bwrap --ro-bind / / --tmpfs /tmp --dir /tmp/a --perms 700 --dir /tmp/a stat -c %a /tmp/a",
    "bwrap --ro-bind / / --size 1048576 --tmpfs /tmp df --output=size /tmp",
    "bwrap --ro-bind / / --size 0x100000 --perms 1777 --tmpfs /tmp stat -f -c '%b %S' /tmp",
    "echo hi >d; bwrap --ro-bind / / --tmpfs /tmp --file 3 /tmp/a/f --bind-data 4 /tmp/b/f --ro-bind-data 5 /tmp/c/f \
     sh -c 'stat -c \"%a %n\" /tmp/*; stat -c \"%a %n\" /tmp/*/f; cat /tmp/*/f; for f in /tmp/*/f; do echo x 2>/dev/null >$f || echo $f; done' 3<d 4<d 5<d",
    "echo hi >d; bwrap --ro-bind / / --tmpfs /tmp --perms 0640 --file 3 /tmp/f --perms 0444 --bind-data 4 /tmp/g stat -c '%a %n' /tmp/f /tmp/g 3<d 4<d",
    "echo hi >d; bwrap --ro-bind / / --ro-bind-data 3 /etc/hostname cat /etc/hostname 3<d",
    "bwrap --ro-bind / / --tmpfs /tmp --symlink /a/b /tmp/l --symlink rel /tmp/x/m readlink /tmp/l /tmp/x/m",
    "bwrap --ro-bind / / --tmpfs /tmp --dir /tmp/d --chmod 1705 /tmp/d stat -c %a /tmp/d",
    "bwrap --ro-bind / / --tmpfs /tmp --remount-ro /tmp touch /tmp/x",
    "bwrap --dev-bind / / sh -c ': </dev/null && echo opened'",
    "bwrap --bind / / sh -c ': </dev/null' 2>/dev/null || echo refused",
    "bwrap --ro-bind / / --dev-bind /dev/null /mnt sh -c ': </dev/null' 2>/dev/null",
    "bwrap --ro-bind / / --tmpfs /tmp --dev-bind /dev/null /tmp/n sh -c 'echo x >/tmp/n && stat -c %F /tmp/n'",
    "bwrap --ro-bind / / --bind-try /nonexistent /x --ro-bind-try /nonexistent /y --dev-bind-try /nonexistent /z echo in",
    "mkdir s; echo c >s/f; bwrap --ro-bind / / --tmpfs /tmp --bind s /tmp/s --ro-bind s/f /tmp/f cat /tmp/s/f /tmp/f",
    "mkdir s; ln -s s l; echo c >s/f; bwrap --ro-bind / / --tmpfs /tmp --bind l /tmp/s --ro-bind l/../s/f /tmp/f cat /tmp/s/f /tmp/f",
    "mkdir s; bwrap --ro-bind / / --bind s $PWD/s sh -c 'echo x >s/f'; cat s/f",
    "mkdir s; bwrap --bind / / --bind s $PWD/new true; stat -c '%a %F' new",
    "touch s; bwrap --bind / / --bind s $PWD/new true; stat -c '%a %F' new",
    "bwrap --ro-bind / / --tmpfs /tmp --dir /tmp/d --symlink d /tmp/l --ro-bind /etc/hostname /tmp/l/f test -f /tmp/d/f && echo there",
    "mkdir s; echo c >s/f; exec 5<s; bwrap --ro-bind / / --ro-bind-fd 5 /mnt cat /mnt/f",
    "mkdir s; exec 5<s; bwrap --ro-bind / / --ro-bind-fd 5 /mnt touch /mnt/f",
    "mkdir s; exec 5<s; bwrap --ro-bind / / --bind-fd 5 /mnt touch /mnt/f; ls s",
    "echo c >s; exec 5<s; bwrap --ro-bind / / --tmpfs /tmp --ro-bind-fd 5 /tmp/s cat /tmp/s",
    "bwrap --ro-bind / / --dev /dev sh -c 'ls /dev; stat -c \"%a %F\" /dev/null; readlink /dev/fd /dev/stdin /dev/stdout /dev/stderr /dev/ptmx /dev/core'",
    "bwrap --ro-bind / / --dev /dev sh -c 'echo x >/dev/null; head -c 3 /dev/zero | od -An -tx1; touch /dev/x && echo writable'",
    "bwrap --ro-bind / / --dev /dev cp /bin/true /dev/shm/t && bwrap --ro-bind / / --dev /dev sh -c 'cp /bin/true /dev/shm/t && /dev/shm/t && echo executed'",
    "bwrap --ro-bind / / --dev /dev grep -c ' /dev' /proc/self/mountinfo >/dev/null",
    "bwrap --ro-bind / / --unshare-pid --proc /proc sh -c 'ls -d /proc/1 /proc/2; set -- /proc/[0-9]*; echo $#'",
    "bwrap --ro-bind / / --unshare-pid --proc /proc grep ' /proc proc' /proc/mounts | cut -d' ' -f2-",
    "bwrap --ro-bind / / --proc /proc sh -c 'test -d /proc/self && echo there'",
    "bwrap --bind / / --tmpfs /tmp --bind / / test -d /usr && echo there",
    "bwrap --tmpfs / --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib64 /lib64 --symlink usr/lib /lib ls /",
    "bwrap --ro-bind / / --tmpfs /mnt/../tmp ls -A /tmp",
    "cd /; bwrap --ro-bind / / --ro-bind etc mnt test -f /mnt/passwd && echo there",
    "umask 077; bwrap --ro-bind / / --tmpfs /tmp --dir /tmp/d sh -c 'stat -c %a /tmp /tmp/d; umask'",
    "bwrap --ro-bind / / --unshare-ipc --mqueue /mnt ls -d /mnt",
    "bwrap --ro-bind / / cat /proc/self/mountinfo | grep -c oldroot",
    "bwrap --bind / / --bind $PWD /tmp sh -c 'test -e /tmp/oldroot -o -e /tmp/newroot || echo none'",
    "bwrap --ro-bind / / sh -c 'grep -c \" / / \" /proc/self/mountinfo'",
];

const FAILURES: &[&str] = &[
    "bwrap --bind /nonexistent /x true",
    "bwrap --ro-bind / / --ro-bind /nonexistent/a /x true",
    "bwrap --bind-try /etc/passwd/x /x --ro-bind / / true",
    "bwrap --bind-fd 33 /x true",
    "bwrap --ro-bind / / --tmpfs /nonexistent true",
    "bwrap --ro-bind / / --dir /nonex true",
    "bwrap --ro-bind / / --dir /etc/passwd true",
    "bwrap --ro-bind / / --dir /etc/passwd/x true",
    "bwrap --ro-bind / / --proc /nonex true",
    "bwrap --ro-bind / / --dev /nonex true",
    "bwrap --ro-bind / / --unshare-ipc --mqueue /nonex true",
    "bwrap --ro-bind / / --bind /etc /nonex true",
    "bwrap --ro-bind / / --symlink a /nonexist true",
    "bwrap --ro-bind / / --file 3 /etc/nope true 3</etc/passwd",
    "bwrap --file 33 /f true",
    "bwrap --bind-data 33 /f true",
    "bwrap --ro-bind / / --bind-data 3 /nonexist true 3</etc/passwd",
    "bwrap --chmod 755 /nope true",
    "bwrap --ro-bind / / --chmod 0755 /etc true",
    "bwrap --ro-bind / / --chdir /nope true",
    "bwrap --ro-bind / / --chdir /etc/passwd true",
    "bwrap --ro-bind / / --remount-ro /etc true",
    "bwrap --ro-bind / / --lock-file /nope true",
    "bwrap --ro-bind / / /nope",
    "bwrap --ro-bind / / /etc",
    "bwrap --ro-bind / / /etc/passwd",
    "bwrap --ro-bind / / ''",
    "PATH=/bin bwrap --ro-bind / / nosuch",
    "bwrap --tmpfs /x /bin/true",
    "bwrap --ro-bind / / --seccomp 33 true",
    "bwrap --ro-bind / / --seccomp 3 true 3</etc/ld.so.conf",
    "bwrap --ro-bind / / --seccomp 3 true 3</dev/null",
    "head -c 64 /dev/zero | tr '\\0' '\\377' >f; bwrap --ro-bind / / --seccomp 3 true 3<f",
    "bwrap --ro-bind / / --block-fd 33 echo in",
    "bwrap --ro-bind / / --sync-fd 33 echo in",
    "bwrap --ro-bind / / --assert-userns-disabled true",
    "bwrap --ro-bind / / --unshare-uts --hostname $(seq -s '' 40) true",
    "bwrap --ro-bind / / --pidns 33 true",
    "bwrap --unshare-user --disable-userns --dev-bind / / -- bwrap --unshare-user --dev-bind / / true",
];

const NAMESPACES: &[&str] = &[
    "bwrap --ro-bind / / id",
    "bwrap --ro-bind / / cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups",
    "bwrap --unshare-user --ro-bind / / cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups",
    "bwrap --unshare-user --uid 5 --gid 6 --ro-bind / / sh -c 'id; cat /proc/self/uid_map'",
    "bwrap --unshare-user --uid 5 --ro-bind / / --dev /dev sh -c 'id; cat /proc/self/uid_map'",
    "bwrap --unshare-user --uid 0 --gid 0 --ro-bind / / --dev /dev sh -c 'id; cat /proc/self/uid_map'",
    "bwrap --unshare-user-try --ro-bind / / id",
    "bwrap --unshare-all --ro-bind / / sh -c 'echo $$'",
    "bwrap --unshare-pid --ro-bind / / sh -c 'echo $$'",
    "bwrap --unshare-pid --as-pid-1 --ro-bind / / sh -c 'echo $$'",
    "bwrap --unshare-all --ro-bind / / ip -o addr show lo | cut -d/ -f1",
    "bwrap --unshare-net --ro-bind / / ip -o link | cut -d: -f2",
    "bwrap --unshare-all --share-net --ro-bind / / readlink /proc/self/ns/net | grep -c $(readlink /proc/self/ns/net)",
    "bwrap --unshare-uts --hostname burrow --ro-bind / / hostname",
    "bwrap --unshare-ipc --ro-bind / / ipcs -q",
    "bwrap --unshare-cgroup --ro-bind / / cat /proc/self/cgroup",
    "bwrap --unshare-cgroup-try --ro-bind / / true",
    "for n in ipc mnt net pid user uts cgroup; do bwrap --unshare-all --ro-bind / / --proc /proc readlink /proc/self/ns/$n | grep -qF $(readlink /proc/self/ns/$n) && echo $n; done",
    "for n in ipc mnt net pid uts cgroup; do bwrap --ro-bind / / readlink /proc/self/ns/$n | grep -qF $(readlink /proc/self/ns/$n) && echo $n; done",
    "bwrap --unshare-user --disable-userns --ro-bind / / unshare -U true",
    "bwrap --unshare-user --disable-userns --ro-bind / / --proc /proc sh -c 'id; echo 9 2>/dev/null >/proc/sys/user/max_user_namespaces; unshare -U true'",
    "bwrap --unshare-user --disable-userns --assert-userns-disabled --dev-bind / / true",
    "bwrap --unshare-user --uid 0 --gid 0 --cap-add ALL --dev-bind / / unshare -U true",
    "bwrap --unshare-user --bind / / --dev-bind / / unshare -U true && echo nested",
    "bwrap --unshare-user --uid 0 --gid 0 --cap-add ALL --bind / / --bind /proc /proc -- bwrap --unshare-all --bind / / --bind /proc /proc echo inner",
    "bwrap --new-session --ro-bind / / ps -o sid= -p 1 >/dev/null",
    "bwrap --ro-bind / / sh -c 'grep NoNewPrivs /proc/self/status'",
];

const ENVIRONMENT: &[&str] = &[
    "A=1 B=2 bwrap --ro-bind / / --setenv A 3 --unsetenv B sh -c 'echo $A$B'",
    "A=1 bwrap --ro-bind / / --clearenv env",
    "A=1 bwrap --ro-bind / / --setenv A 2 --clearenv --setenv B 3 env",
    "bwrap --ro-bind / / --clearenv --chdir / env",
    "bwrap --ro-bind / / sh -c 'pwd; echo $PWD'",
    "PWD=/wrong bwrap --ro-bind / / sh -c 'echo $PWD'",
    "bwrap --ro-bind / / --chdir /usr sh -c 'pwd; echo $PWD'",
    "cd /usr/share; HOME=/etc bwrap --ro-bind / / --tmpfs /usr/share pwd",
    "mkdir d; cd d; HOME=/etc bwrap --ro-bind / / --tmpfs $PWD/.. /bin/pwd",
    "mkdir d; cd d; HOME=/nonexistent bwrap --ro-bind / / --tmpfs $PWD/.. sh -c 'pwd; echo $PWD'",
    "mkdir d; cd d; bwrap --ro-bind / / --setenv HOME /usr --tmpfs $PWD/.. sh -c 'pwd; echo $PWD'",
    "mkdir d; cd d; bwrap --ro-bind / / --unsetenv HOME --tmpfs $PWD/.. pwd",
    "mkdir d; cd d; rmdir ../d; HOME=/etc bwrap --ro-bind / / /bin/pwd",
    "bwrap --ro-bind / / --setenv PATH /nonexistent env",
    "bwrap --ro-bind / / --setenv PATH /usr/bin env | grep ^PATH",
    "printf '#!/bin/sh\\necho script $0\\n' >s; chmod +x s; PATH=$PWD:$PATH bwrap --ro-bind / / s",
    "bwrap --ro-bind / / sh -c 'ls /proc/self/fd | grep -x 7' 7</dev/null",
    "bwrap --ro-bind / / --sync-fd 7 sh -c 'ls /proc/self/fd | grep -x 7' 7</dev/null",
    "bwrap --ro-bind / / --ro-bind-fd 7 /mnt sh -c 'ls /proc/self/fd | grep -x 7' 7</etc",
    "bwrap --ro-bind / / --tmpfs /tmp --file 7 /tmp/f sh -c 'ls /proc/self/fd | grep -x 7' 7</etc/passwd",
];

const ROOT: &[&str] = &[
    "bwrap --unshare-user --bind / / --cap-drop ALL grep Cap /proc/self/status",
    "bwrap --unshare-user --bind / / --cap-drop CAP_CHOWN grep Cap /proc/self/status",
    "bwrap --unshare-all --bind / / --cap-drop ALL grep Cap /proc/self/status",
    "bwrap --ro-bind / / grep Cap /proc/self/status",
    "bwrap --unshare-pid --ro-bind / / grep Cap /proc/self/status",
    "bwrap --unshare-user --ro-bind / / grep Cap /proc/self/status",
    "bwrap --ro-bind / / --cap-drop ALL grep Cap /proc/self/status",
    "bwrap --ro-bind / / --cap-drop CAP_KILL --cap-drop cap_fowner grep Cap /proc/self/status",
    "bwrap --ro-bind / / --cap-drop ALL --cap-add CAP_CHOWN grep Cap /proc/self/status",
    "bwrap --unshare-user --uid 5 --ro-bind / / grep Cap /proc/self/status",
    "bwrap --unshare-user --cap-drop ALL --dev /dev --ro-bind / / grep Cap /proc/self/status",
    "bwrap --unshare-user --disable-userns --cap-drop CAP_KILL --ro-bind / / grep Cap /proc/self/status",
    "bwrap --dev-bind / / --unshare-net --cap-drop ALL ip link add x type dummy 2>&1 | head -1",
];

const USER: &[&str] = &[
    "bwrap --ro-bind / / grep Cap /proc/self/status",
    "bwrap --unshare-all --ro-bind / / --dev /dev grep Cap /proc/self/status",
    "bwrap --ro-bind / / --cap-add CAP_NET_ADMIN grep Cap /proc/self/status",
    "bwrap --ro-bind / / --cap-add ALL grep Cap /proc/self/status",
    "bwrap --ro-bind / / --cap-add ALL --cap-drop CAP_SYS_ADMIN grep Cap /proc/self/status",
    "bwrap --unshare-user --uid 0 --ro-bind / / grep Cap /proc/self/status",
    "bwrap --unshare-net --uid 0 --unshare-user --cap-add CAP_NET_ADMIN --ro-bind / / ip link set lo mtu 1400 && echo allowed",
    "bwrap --ro-bind / / cat /etc/shadow",
    "bwrap --ro-bind / / --tmpfs /tmp --ro-bind /etc/shadow /tmp/s cat /tmp/s",
];

fn command_lines_are_understood_as_by_bubblewrap() {
    Targets::default().same(LINES);
}

fn roots_are_put_together_as_by_bubblewrap() {
    Targets::default().same_each(FILES);
}

fn failures_of_files_have_the_words_of_bubblewrap() {
    Targets::default().same_each(FAILURES);
}

fn namespaces_and_ids_are_as_with_bubblewrap() {
    Targets::default().same_each(NAMESPACES);
}

fn environment_and_folder_are_as_with_bubblewrap() {
    Targets::default().same_each(ENVIRONMENT);
}

fn root_keeps_its_capabilities_as_with_bubblewrap() {
    Targets::default().same(ROOT);
}

fn nothing_is_left_of_capabilities_but_what_is_added() {
    Targets::default().same(USER);
}

const NEWER: &[Newer] = &[
    Newer(
        "bwrap --ro-bind / / --info-fd 33 true",
        1,
        "",
        "bwrap: Write to info_fd: Bad file descriptor",
    ),
    Newer(
        "bwrap --ro-bind / / --json-status-fd 33 true",
        1,
        "",
        "bwrap: Write to info_fd: Bad file descriptor",
    ),
    Newer("bwrap --version", 0, "bubblewrap 0.12.0", ""),
    Newer("bwrap --argv0 x --ro-bind / / sh -c 'echo $0'", 0, "x", ""),
    Newer("bwrap --argv0", 1, "", "bwrap: --argv0 takes an argument"),
    Newer(
        "bwrap --argv0 x --argv0 y true",
        1,
        "",
        "bwrap: --argv0 used multiple times",
    ),
    Newer(
        "bwrap --not-a-security-boundary --ro-bind / / echo in",
        0,
        "in",
        "",
    ),
    Newer(
        "bwrap --ro-bind / / --tmpfs /tmp --symlink a /tmp/l --symlink a /tmp/l readlink /tmp/l",
        0,
        "a",
        "",
    ),
    Newer(
        "bwrap --symlink a /l --symlink b /l true",
        1,
        "",
        "bwrap: Can't make symlink at /l: existing destination is a",
    ),
    Newer(
        "ln -s /dev/null l; bwrap --bind / / --bind $PWD /mnt --symlink b /mnt/l true",
        1,
        "",
        "bwrap: Can't make symlink at /mnt/l: existing destination is /dev/null",
    ),
    Newer(
        "bwrap --dir /l --symlink b /l true",
        1,
        "",
        "bwrap: Can't make symlink at /l: destination exists and is not a symlink",
    ),
    Newer(
        "bwrap --dir /d --symlink d /l --ro-bind /etc /l true",
        1,
        "",
        "bwrap: Can't mount on symlink destination /l",
    ),
    Newer(
        "bwrap --symlink d /l --ro-bind /etc/passwd /l true",
        1,
        "",
        "bwrap: Can't mount on symlink destination /l",
    ),
    Newer(
        "bwrap --file 3 /f --ro-bind /etc /f true 3</dev/null",
        1,
        "",
        "bwrap: Can't mount on /f: not a directory",
    ),
    Newer(
        "bwrap --dir /d --ro-bind /etc/passwd /d true",
        1,
        "",
        "bwrap: Can't mount on /d: not a file",
    ),
    Newer(
        "bwrap --file 3 /f --ro-bind /etc/passwd /f/x true 3</dev/null",
        1,
        "",
        "bwrap: Can't mkdir parents for /f/x: Not a directory",
    ),
    Newer(
        "bwrap --add-seccomp-fd 3 --seccomp 3 true",
        1,
        "",
        "bwrap: --seccomp cannot be combined with --add-seccomp-fd",
    ),
    Newer(
        "bwrap --ro-bind-fd 3",
        1,
        "",
        "bwrap: --ro-bind-fd takes two arguments",
    ),
];

fn what_newer_versions_have() {
    Targets::default().newer(NEWER);
}

fn it_is_a_command_of_warren_too() {
    run(&mut warren(["bwrap", "--ro-bind", "/", "/", "echo", "in"])).says("in");
    run(&mut warren(["bwrap", "--bogus"]))
        .exits(1)
        .complains("bwrap: Unknown option --bogus");
}

fn help_names_the_file_it_was_called_as() {
    let output = run(&mut ours(
        "d=$(dirname $(command -v bwrap)); $d/bwrap --help | head -1; echo $d",
    ));
    let text = output.succeeds();
    let (usage, folder) = text.trim_end().split_once('\n').expect("two lines");
    assert_eq!(
        usage,
        format!("usage: {folder}/bwrap [OPTIONS...] [--] COMMAND [ARGS...]")
    );
}

fn it_finds_itself_under_the_name_of_proc() {
    // By a link to the binary, and by a file of its own name.
    for make in ["ln -s", "cp"] {
        let line = format!(
            "{make} $(readlink -f $(command -v bwrap)) ./bwrap; \
             ./bwrap --unshare-user --uid 0 --gid 0 --cap-add ALL --bind / / --bind /proc /proc -- \
             /proc/self/exe --unshare-all --bind / / --bind /proc /proc echo inner; rm bwrap"
        );
        run(&mut ours(&line)).says("inner");
    }
}

fn messages_have_a_level_if_asked_for() {
    let output = run(&mut ours(
        "bwrap --level-prefix --chdir / --chdir / --ro-bind / / /nope",
    ));
    output.exits(1);
    let mut lines = output.stderr.lines();
    let warning = "<4>bwrap: Only the last --chdir option will take effect";
    assert_eq!(lines.next(), Some(warning));
    let error = "<3>bwrap: execvp /nope: No such file or directory";
    assert_eq!(lines.next(), Some(error));
}
