//! Each shipped profile at its job, with the programs that people use for it. They need
//! more of the machine than the other tests: gcc, git, python3 with pip.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use warren_testkit::{Output, Running, Test, program, run, scratch, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        a_build_makes_a_program_and_changes_nothing_else,
        an_install_fetches_a_package_and_fills_the_cache,
        an_agent_commits_and_leaves_no_trap,
        an_agent_sees_no_secret;
    Root:
        cargo_builds_a_crate;
};

/// Where the shell finds programs: not those that this machine has put before Debian's.
const PATH: &str = "/usr/bin:/bin";

/// A project and the user's home.
struct Place {
    project: PathBuf,
    home: PathBuf,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            project: scratch().join("project"),
            home: scratch().join("home"),
        };
        fs::create_dir(&place.project).expect("make a folder");
        fs::create_dir(&place.home).expect("make a folder");
        place.write_home(".ssh/id_ed25519", "a secret key\n");
        place
    }

    fn write(&self, name: &str, text: &str) {
        write(&self.project.join(name), text);
    }

    fn write_home(&self, name: &str, text: &str) {
        write(&self.home.join(name), text);
    }

    fn command(&self, name: &str) -> Command {
        let mut command = program(name);
        command
            .env("PATH", PATH)
            .env("HOME", &self.home)
            .current_dir(&self.project);
        command
    }

    /// A script outside.
    fn outside(&self, script: &str) -> Output {
        run(self.command("sh").args(["-c", script]))
    }

    /// A script under a profile.
    fn under(&self, profile: &str, script: &str) -> Output {
        let warren = warren(["x"]).get_program().to_owned();
        let mut command = self.command(&warren.to_string_lossy());
        command.args(["run", "--profile", profile, "--", "sh", "-c", script]);
        run(&mut command)
    }
}

fn write(path: &Path, text: &str) {
    let folder = path.parent().expect("a folder");
    fs::create_dir_all(folder).expect("make a folder");
    fs::write(path, text).expect("write a file");
}

fn a_build_makes_a_program_and_changes_nothing_else() {
    let place = Place::new();
    place.write(
        "hello.c",
        "#include <stdio.h>\nint main(void) { puts(\"built\"); }\n",
    );
    place.write_home(".cache/pip/entry", "good\n");
    let script = "gcc -O1 -o hello hello.c && ./hello; \
        echo bad > ~/.cache/pip/entry; cat ~/.cache/pip/entry; touch ~/.bashrc; \
        cat ~/.ssh/id_ed25519 2>&1 | grep -o 'No such'; grep -c : /proc/net/dev";
    place.under("build", script).says("built\nbad\nNo such\n1");
    place
        .outside("./hello; cat ~/.cache/pip/entry; ls -A ~")
        .says("built\ngood\n.cache\n.ssh");
}

/// Serves a folder as an index whose answers may be cached; says its port.
const INDEX: &str = "import http.server as h\n\
    class Index(h.SimpleHTTPRequestHandler):\n\
    \x20   def end_headers(self):\n\
    \x20       self.send_header('Cache-Control', 'max-age=3600')\n\
    \x20       super().end_headers()\n\
    server = h.ThreadingHTTPServer(('127.0.0.1', 0), Index)\n\
    print(server.server_port, flush=True)\n\
    server.serve_forever()\n";

fn an_install_fetches_a_package_and_fills_the_cache() {
    let place = Place::new();
    fs::create_dir_all(place.home.join(".cache/pip")).expect("make a folder");
    let index = scratch().join("index/simple/warren-burrow");
    fs::create_dir_all(&index).expect("make a folder");
    let wheel = "import zipfile, sys\n\
        info = 'warren_burrow-1.0.dist-info/'\n\
        with zipfile.ZipFile(sys.argv[1], 'w') as wheel:\n\
        \x20   wheel.writestr('warren_burrow.py', 'word = \"installed\"\\n')\n\
        \x20   wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: warren-burrow\\nVersion: 1.0\\n')\n\
        \x20   wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
        \x20   wheel.writestr(info + 'RECORD', '')\n";
    let made = index.join("warren_burrow-1.0-py3-none-any.whl");
    run(place.command("python3").args(["-c", wheel]).arg(&made)).succeeds();
    let mut server = place.command("python3");
    server
        .args(["-c", INDEX])
        .current_dir(scratch().join("index"));
    let mut server = Running::start(&mut server);
    let port = server.line();
    let script = format!(
        "python3 -m pip install --quiet --disable-pip-version-check --target lib \
         --trusted-host 127.0.0.1:{port} --index-url http://127.0.0.1:{port}/simple warren-burrow && \
         PYTHONPATH=lib python3 -c 'import warren_burrow; print(warren_burrow.word)'; \
         ls ~/.ssh 2>&1 | grep -o 'No such'"
    );
    place.under("install", &script).says("installed\nNo such");
    let output = place.outside("ls lib; find ~/.cache/pip -type f | grep -c .");
    output.has("warren_burrow.py");
    output.expect("something in the cache", !output.stdout.ends_with("\n0\n"));
    let refused = place.under("build", &script);
    refused.lacks("installed");
}

/// A repository with one commit.
fn repository() -> Place {
    let place = Place::new();
    place.write_home(".gitconfig", "[user]\nname = A\nemail = a@example.org\n");
    place.write("notes", "one\n");
    place
        .outside("git init -q . && git add -A && git commit -q -m one")
        .succeeds();
    place
}

fn an_agent_commits_and_leaves_no_trap() {
    let place = repository();
    let script = "echo two >> notes && git commit -q -a -m two && git log --oneline | wc -l; \
        echo 'touch ~/trapped' > .git/hooks/pre-commit; \
        git config core.fsmonitor 'touch ~/trapped'; \
        mv .git .old; mv .git/hooks .git/old; rm -rf .git/config; \
        touch ~/trap; cat ~/.gitconfig | wc -l; id -u";
    let output = place.under("agent", script);
    output.has("2\n3\n0");
    output.complains("Read-only file system");
    output.complains("Device or resource busy");
    place
        .outside("git status --porcelain; git log --oneline | wc -l; ls ~; ls .git/hooks | grep -v sample; true")
        .says("2");
}

fn an_agent_sees_no_secret() {
    let place = repository();
    place.write(".env", "PASSWORD=x\n");
    place.write("web/.env.local", "PASSWORD=y\n");
    place.write("web/.env.example", "PASSWORD=\n");
    place.write("deploy/id_rsa", "a secret key\n");
    let script = "cat .env web/.env.local deploy/id_rsa ~/.ssh/id_ed25519; \
        cat web/.env.example; mv .env readable; cat readable; ln web/.env.local l && cat l; true";
    let output = place.under("agent", script);
    output.says("PASSWORD=").lacks("secret");
    place
        .outside("cat .env web/.env.local")
        .says("PASSWORD=x\nPASSWORD=y");
}

fn cargo_builds_a_crate() {
    let place = Place::new();
    place.write(
        "Cargo.toml",
        "[package]\nname = \"burrow\"\nversion = \"1.0.0\"\nedition = \"2021\"\n",
    );
    place.write("src/main.rs", "fn main() { println!(\"built\"); }\n");
    // Of the toolchain that these tests were built with.
    let cargo = Path::new(env!("CARGO"));
    let bin = cargo.parent().expect("a folder");
    let rustup = bin.ancestors().nth(3).expect("the toolchains' folder");
    let mut command = warren(["run", "--profile", "build", "--", "cargo", "run", "-q"]);
    command
        .env("HOME", &place.home)
        .env("RUSTUP_HOME", rustup)
        .env("PATH", format!("{}:{PATH}", bin.display()))
        .current_dir(&place.project);
    run(&mut command).says("built");
    assert!(place.project.join("target/debug/burrow").exists());
    assert!(!place.home.join(".cargo").exists());
}
