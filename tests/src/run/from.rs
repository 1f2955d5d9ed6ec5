//! `--from`: what others are told, done here.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use warren_testkit::{Output, Test, program, run, scratch, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        what_was_printed_for_runtimes_is_read_again,
        a_command_takes_the_place_of_the_one_in_the_bundle,
        what_would_isolate_less_is_refused_by_name,
        a_wrong_property_is_refused_with_its_path,
        other_options_would_contradict,
        a_line_of_bubblewrap_is_read_run_and_printed_again,
        what_of_bubblewrap_tells_others_is_refused;
    Root:
        a_bundle_of_runc_runs_as_runc_runs_it;
};

/// A bundle whose root is an empty folder with the host's programs bound into it, with
/// other values at some places of its config.json.
fn bundle(changes: &[(&str, Value)]) -> PathBuf {
    let folder = scratch().join("bundle");
    fs::create_dir_all(folder.join("rootfs")).expect("make a bundle");
    let words = ["run", "--print", "oci", "--", "sh", "-c", "echo ran"];
    let mut config = parsed(run(&mut warren(words)).succeeds());
    for (place, value) in changes {
        set(&mut config, place, value.clone());
    }
    fs::write(folder.join("config.json"), config.to_string()).expect("write config.json");
    folder
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Sets the value at a path of keys and indexes, and makes what leads to it.
fn set(config: &mut Value, place: &str, value: Value) {
    let mut at = config;
    for part in place.split('/') {
        at = match part.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[part],
        };
    }
    *at = value;
}

fn from(folder: &PathBuf, more: &[&str]) -> Output {
    let mut command = warren(["run", "--from", "oci"]);
    run(command.arg(folder).args(more))
}

fn what_was_printed_for_runtimes_is_read_again() {
    let folder = bundle(&[]);
    from(&folder, &[]).says("ran");
    from(&folder.join("config.json"), &[]).says("ran");
    let left = fs::read_dir(folder.join("rootfs"))
        .expect("the root")
        .count();
    assert_eq!(left, 0, "nothing was made in the root");
    // There and back, it is the same text.
    let mut command = warren(["run", "--print", "oci", "--from", "oci"]);
    let again = run(command.arg(&folder));
    let before = fs::read_to_string(folder.join("config.json")).expect("read it");
    assert_eq!(parsed(&before), parsed(again.succeeds()));
}

fn a_command_takes_the_place_of_the_one_in_the_bundle() {
    let folder = bundle(&[]);
    from(&folder, &["--", "sh", "-c", "echo $0 $#", "a", "--plan"]).says("a 1");
    from(&folder, &["--", "sh", "-c", "exit 7"]).exits(7);
}

fn what_would_isolate_less_is_refused_by_name() {
    let hooks = json!([{"path": "/x"}]);
    let folder = bundle(&[
        ("hooks/poststop", hooks.clone()),
        ("hooks/createRuntime", hooks),
        ("process/oomScoreAdj", json!(500)),
    ]);
    let output = from(&folder, &[]);
    output.is_refused("it asks for isolation that warren cannot give");
    for path in ["hooks.poststop", "hooks.createRuntime"] {
        output.complains(&format!("hint: {path}: "));
    }
    // What changes nothing is a note.
    let folder = bundle(&[
        ("process/oomScoreAdj", json!(500)),
        ("process/capabilities/bounding", json!(["CAP_FUTURE"])),
    ]);
    let output = from(&folder, &["--", "cat", "/proc/self/oom_score_adj"]);
    output.says("500").complains(
        "warren: note: process.capabilities: ignoring unknown or unavailable ",
    );
}

fn a_wrong_property_is_refused_with_its_path() {
    for (place, value, words) in [
        (
            "linux/resources/memory/limit",
            json!("1G"),
            "linux.resources.memory.limit: expected an integer, found string \"1G\"",
        ),
        (
            "mounts/1/options/0",
            json!(3),
            "mounts[1].options[0]: expected a string",
        ),
        (
            "process/cwd",
            json!("here"),
            "process.cwd: expected an absolute path",
        ),
        (
            "linux/sysctl/vm.swappiness",
            json!("1"),
            "vm.swappiness would be changed for the whole host",
        ),
    ] {
        from(&bundle(&[(place, value)]), &[]).is_refused(words);
    }
    from(&PathBuf::from("/no/such"), &[]).is_refused("/no/such");
}

fn other_options_would_contradict() {
    let folder = bundle(&[]);
    for option in [
        &["--here"][..],
        &["--ro-bind", "/usr", "/x"],
        &["--cap-add", "KILL"],
    ] {
        let mut command = warren(["run", "--from", "oci"]);
        let output = run(command.args(option).arg(&folder));
        output.is_refused(option[0]);
    }
}

/// A line of bubblewrap's with most kinds of options.
const LINE: &str = "--unshare-all --share-net --hostname burrow --ro-bind / / --dev /dev --proc /proc \
    --perms 0700 --size 65536 --tmpfs /tmp --dir /tmp/a --symlink a /tmp/b --bind /usr/bin /tmp/c \
    --remount-ro /tmp/c --chmod 0750 /tmp/a --cap-drop ALL --clearenv --setenv A b --chdir /tmp \
    --die-with-parent --new-session --as-pid-1 --";

fn a_line_of_bubblewrap_is_read_run_and_printed_again() {
    let script = "pwd; hostname; stat -c %a . a; readlink b; ls c | wc -l; touch c/x 2>/dev/null \
        || echo sealed; grep -E 'Cap(Eff|Prm|Amb)' /proc/self/status; echo $A $$";
    let line = || LINE.split_ascii_whitespace().chain(["sh", "-c", script]);
    let mut bwrap = program("bwrap");
    let theirs = run(bwrap.args(line()));
    theirs.succeeds();
    let mut command = warren(["run", "--from", "bwrap", "--"]);
    run(command.args(line())).says(theirs.stdout.trim_end());
    let print = |language: &str, words: &mut dyn Iterator<Item = String>| {
        let mut command = warren(["run", "--print", language, "--from", "bwrap", "--"]);
        run(command.args(words)).succeeds().to_owned()
    };
    let printed = print("bwrap", &mut line().map(str::to_owned));
    let file = scratch().join("script");
    fs::write(&file, &printed).expect("write the script");
    run(program("sh").arg(&file)).says(theirs.stdout.trim_end());
    // What was printed is read and printed as the same.
    let words = fs::read_to_string(&file).expect("read the script");
    let words = words.lines().skip_while(|line| !line.starts_with("bwrap"));
    let script = format!(
        "set -- {}\nprintf '%s\\0' \"$@\"",
        words.collect::<Vec<_>>().join("\n")
    );
    let words = run(program("sh").args(["-c", &script])).stdout;
    let mut words = words.split_terminator('\0').skip(1).map(str::to_owned);
    assert_eq!(print("bwrap", &mut words), printed);
}

fn what_of_bubblewrap_tells_others_is_refused() {
    for line in [&["--info-fd", "1", "true"][..], &["--fly", "true"], &[]] {
        let mut command = warren(["run", "--from", "bwrap", "--"]);
        run(command.args(line)).exits(125);
    }
}

fn a_bundle_of_runc_runs_as_runc_runs_it() {
    let folder = scratch().join("own");
    fs::create_dir_all(folder.join("rootfs")).expect("make a bundle");
    run(program("runc").args(["spec", "--bundle"]).arg(&folder)).succeeds();
    let script = "id -u; grep -E 'Cap|NoNewPrivs' /proc/self/status; hostname; umask; \
        cat /sys/class/net/lo/operstate /proc/sys/net/ipv4/ip_forward; ulimit -n; \
        touch /sys/x 2>/dev/null || echo sealed; cat /proc/timer_list | wc -c; ls -d /dev/mqueue";
    let file = folder.join("config.json");
    let mut config = parsed(&fs::read_to_string(&file).expect("read config.json"));
    set(&mut config, "process/terminal", json!(false));
    set(&mut config, "process/args", json!(["sh", "-c", script]));
    set(&mut config, "process/user/umask", json!(0o27));
    set(&mut config, "linux/sysctl/net.ipv4.ip_forward", json!("1"));
    let mounts = config["mounts"].as_array_mut().expect("mounts");
    for path in ["/usr", "/bin", "/lib", "/lib64"] {
        mounts.push(json!({"destination": path, "source": path, "type": "bind",
            "options": ["rbind", "ro"]}));
    }
    fs::write(&file, config.to_string()).expect("write config.json");
    let ours = from(&folder, &[]);
    ours.succeeds();
    let mut runc = program("runc");
    runc.arg("--root").arg(scratch().join("runc"));
    let theirs = run(runc
        .args(["run", "--bundle"])
        .arg(&folder)
        .arg("warren-from"));
    theirs.says(ours.stdout.trim_end());
}
