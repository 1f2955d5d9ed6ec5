//! The command lines of programs that call bubblewrap, shortened in nothing but paths.

use warren_testkit::{Test, run, tests};

use crate::util_linux::{Targets, ours};

pub const TESTS: &[Test] = tests! {
    Both:
        flatpak_starts_an_application,
        sandbox_runtime_runs_a_shell,
        webkit_starts_a_web_process,
        glycin_starts_an_image_loader,
        opam_builds_a_package;
};

/// Options through a descriptor, data through others, an instance that is locked, and
/// information that is awaited.
const FLATPAK: &str = r#"
    # Descriptors above 9 take a shell that reads them.
    cat >script <<'END'
    mkdir -p app data; echo ref >app/.ref; echo hi >app/hello
    echo "app:x:$(id -u):$(id -g):::/bin/sh" >passwd; echo "app:x:$(id -g):" >group
    printf '[Application]\nname=org.example.App\n' >info
    {
        printf '%s\0' --ro-bind /usr /usr
        printf '%s\0' --symlink usr/bin /bin --symlink usr/sbin /sbin
        printf '%s\0' --symlink usr/lib /lib --symlink usr/lib64 /lib64
        printf '%s\0' --ro-bind $PWD/app /app --lock-file /app/.ref
        printf '%s\0' --perms 0700 --dir /run/user/1 --dir /tmp --dir /var/tmp
        printf '%s\0' --ro-bind-try /nonexistent/fonts /run/host/fonts
        printf '%s\0' --ro-bind-data 11 /etc/passwd --ro-bind-data 12 /etc/group
        printf '%s\0' --file 13 /.flatpak-info --ro-bind-data 14 /run/user/1/flatpak-info
        printf '%s\0' --symlink ../../../.flatpak-info /run/user/1/.flatpak-info
        printf '%s\0' --bind $PWD/data /var/data --symlink /etc/nowhere /etc/localtime
        printf '%s\0' --dev /dev --tmpfs /dev/shm --proc /proc
        printf '%s\0' --bind-fd 15 /run/data --tmpfs /run/host --remount-ro /run/host
        printf '%s\0' --unshare-user --unshare-pid --unshare-ipc --unshare-net
        printf '%s\0' --die-with-parent --cap-drop ALL --disable-userns
        printf '%s\0' --setenv XDG_RUNTIME_DIR /run/user/1 --unsetenv HOME --chdir /app
        printf '%s\0' --info-fd 16 --sync-fd 17
    } >args
    bwrap --args 10 -- sh -c '
        id -un; cat hello /.flatpak-info /run/user/1/flatpak-info; pwd
        echo $XDG_RUNTIME_DIR $HOME; stat -c "%a %n" /run/user/1 /run/user /tmp /.flatpak-info
        readlink /etc/localtime; ls /run/data /dev; echo x >/var/data/out; ls /app
        ls /proc/self/fd | grep -c "1[0-7]"; unshare -U true 2>/dev/null || echo no namespaces
        touch /app/x 2>/dev/null || echo read-only; test -e /home && echo home
        grep Cap /proc/self/status' \
        10<args 11<passwd 12<group 13<info 14<info 15<data 16>told 17<args
    echo $? $(cat data/out) $(grep -c namespace told)
END
    bash script
"#;

fn flatpak_starts_an_application() {
    Targets::default().same_each(&[FLATPAK]);
    let output = run(&mut ours(&format!("mkdir f; cd f\n{FLATPAK}")));
    output
        .has("app\nhi\n[Application]")
        .has("no namespaces\nread-only\n");
}

/// The root read-only, one folder writable, what must not be written read-only again, a
/// socket, and the shell behind two dashes.
const SANDBOX_RUNTIME: &str = r#"
    mkdir -p work/.git/hooks socks; touch socks/http.sock; cd work
    bwrap --new-session --die-with-parent --unshare-net \
        --bind ../socks/http.sock $PWD/../socks/http.sock \
        --setenv HTTP_PROXY http://localhost:3128 --setenv SANDBOX_RUNTIME 1 \
        --ro-bind / / --bind $PWD $PWD --ro-bind $PWD/.git/hooks $PWD/.git/hooks \
        --ro-bind /dev/null $PWD/.bashrc --dev /dev --unshare-pid --proc /proc \
        -- /bin/bash -c '
            echo $SANDBOX_RUNTIME $HTTP_PROXY; echo x >new && cat new
            touch .git/hooks/x 2>/dev/null || echo no hooks
            echo x 2>/dev/null >/etc/x || echo no etc; ip -o link | wc -l; echo $$
            stat -c %F .bashrc; (exit 5)'
    echo $?; ls -A
"#;

fn sandbox_runtime_runs_a_shell() {
    Targets::default().same_each(&[SANDBOX_RUNTIME]);
}

const WEBKIT: &str = r#"
    printf 'x' >data
    bwrap --die-with-parent --unshare-pid --unshare-uts --hostname web \
        --ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
        --symlink usr/bin /bin --ro-bind-try /nonexistent /lib32 \
        --dev /dev --proc /proc --tmpfs /tmp --unsetenv TMPDIR --dir /run/user/7 \
        --setenv XDG_RUNTIME_DIR /run/user/7 --symlink ../run /var/run \
        --symlink ../tmp /var/tmp --ro-bind-try /sys/dev /sys/dev \
        --ro-bind-try /sys/devices /sys/devices --ro-bind /etc/ld.so.cache /etc/ld.so.cache \
        --ro-bind-data 11 /.flatpak-info --unshare-net --sync-fd 12 \
        -- sh -c 'hostname; cat /.flatpak-info; ls -d /sys/devices; ls /; readlink /var/run
            cd /var/run && pwd -P; touch /tmp/x && echo private; ls /etc' \
        11<data 12</dev/null
"#;

fn webkit_starts_a_web_process() {
    Targets::default().same_each(&[WEBKIT]);
}

const GLYCIN: &str = r#"
    HOME=/root bwrap --unshare-all --die-with-parent --chdir / --ro-bind /usr /usr \
        --dev /dev --ro-bind-try /etc/ld.so.cache /etc/ld.so.cache \
        --ro-bind-try /nix/store /nix/store --tmpfs /tmp-home --tmpfs /tmp-run \
        --clearenv --setenv HOME /tmp-home --setenv XDG_RUNTIME_DIR /tmp-run \
        --symlink /usr/lib /lib --symlink /usr/lib64 /lib64 --symlink /usr/bin /bin \
        --setenv PATH /usr/bin -- env -u SHLVL -u _ sh -c 'env | grep -v OLDPWD | sort; ls /; id -u; touch ~/x && echo home'
"#;

fn glycin_starts_an_image_loader() {
    Targets::default().same_each(&[GLYCIN]);
}

const OPAM: &str = r#"
    mkdir -p switch build; cd build
    bwrap --unshare-net --new-session --proc /proc --dev /dev \
        --setenv TMPDIR /tmp --setenv TMP /tmp --tmpfs /tmp \
        --ro-bind /usr /usr --ro-bind-try /opt /opt --symlink usr/bin /bin \
        --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/sbin /sbin \
        --ro-bind /etc /etc --ro-bind ../switch $PWD/../switch --bind $PWD $PWD \
        --chdir $PWD sh -c 'echo built >out; touch ../switch/x 2>/dev/null || echo no; echo $TMPDIR'
    cat out
"#;

fn opam_builds_a_package() {
    Targets::default().same_each(&[OPAM]);
}
