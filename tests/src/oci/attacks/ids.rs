//! Who has an id, a capability, a group or a setting taken for another.

use std::fs;

use serde_json::{Value, json};
use warren_testkit::{Output, Test, program, run, scratch, tests, warren};

use super::super::run_to_files;
use super::{Bundle, WARREN};

pub const TESTS: &[Test] = tests! {
    Root:
        a_number_that_is_no_id_is_refused,
        a_user_is_not_looked_up_in_the_image,
        nothing_is_inheritable_that_the_caller_has,
        an_exec_without_capabilities_has_none,
        the_callers_groups_stay_outside,
        a_setting_of_the_machine_is_refused,
        a_map_that_is_too_long_is_no_shorter_one;
    User:
        who_has_one_id_cannot_drop_a_group;
};

/// CVE-2024-40635, CVE-2026-30892: the last number says "unchanged" to setresuid(2), so that
/// the program would be root; what is larger is cut by others.
fn a_number_that_is_no_id_is_refused() {
    let bundle = Bundle::new(&["id", "-u"]);
    let wrong = [
        json!(u32::MAX),
        json!(1u64 << 32),
        json!(-1),
        json!(1.5),
        json!("0"),
    ];
    for (key, list) in [("uid", false), ("gid", false), ("additionalGids", true)] {
        for wrong in &wrong {
            let mut bundle = Bundle::new(&["id", "-u"]);
            bundle.set(|config| {
                config["process"]["user"][key] = match list {
                    true => json!([5, wrong]),
                    false => wrong.clone(),
                };
            });
            let output = WARREN.run_bundle(&bundle, "web");
            output.exits(1).complains(&format!("process.user.{key}"));
            assert!(nothing_is_left());
            fs::remove_dir_all(&bundle.folder).expect("remove the bundle");
        }
    }
    let running = running(&bundle, |_| {});
    for user in [
        "4294967295",
        "+1",
        "1:",
        "1 ",
        "-1",
        "0x1",
        "18446744073709551616",
    ] {
        running
            .exec(&["--user", user, "web", "id", "-u"])
            .exits(255);
    }
    let file = scratch().join("process.json");
    let process = json!({"cwd": "/", "args": ["id", "-u"],
        "user": {"uid": u32::MAX, "gid": 0}});
    fs::write(&file, process.to_string()).expect("write it");
    let file = file.to_str().expect("a scratch folder is text");
    let output = running.exec(&["--process", file, "web"]);
    output.exits(255).complains("process.user.uid");
}

/// CVE-2016-3697: the image calls its root by the number of somebody else.
fn a_user_is_not_looked_up_in_the_image() {
    let bundle = Bundle::new(&["true"]);
    let passwd = "1000:x:0:0::/:/bin/sh\nsomebody:x:0:0::/:/bin/sh\n";
    fs::write(bundle.root().join("etc/passwd"), passwd).expect("write passwd");
    let running = running(&bundle, |_| {});
    running
        .exec(&["--user", "1000", "web", "id", "-u"])
        .says("1000");
    let output = running.exec(&["--user", "somebody", "web", "id", "-u"]);
    output.exits(255).complains("expected a numeric id");
}

/// CVE-2022-29162, CVE-2022-27650: a file with capabilities would give them to anybody.
fn nothing_is_inheritable_that_the_caller_has() {
    let bundle = Bundle::new(&["true"]);
    let inheriting =
        |words: &[&str]| called_by(&["--inh-caps", "+chown,+net_raw"], words);
    let status = ["grep", "CapInh", "/proc/self/status"];
    let first = Bundle::new(&status);
    inheriting(&["run", "--bundle", first.path(), "first"]).has("\t0000000000000000");
    let running = running(&bundle, |_| {});
    for more in [&[][..], &["--cap", "CAP_NET_RAW"]] {
        let words = [&["exec"][..], more, &["web"], &status].concat();
        inheriting(&words).has("\t0000000000000000");
    }
    drop(running);
}

/// CVE-2025-27612, CVE-2018-10856: what a process.json does not give is not there.
fn an_exec_without_capabilities_has_none() {
    let bundle = Bundle::new(&["true"]);
    let running = running(&bundle, |_| {});
    let file = scratch().join("process.json");
    for uid in [0, 1000] {
        let process = json!({"cwd": "/", "user": {"uid": uid, "gid": 0},
            "args": ["grep", "-E", "Cap(Eff|Prm|Bnd|Inh|Amb)", "/proc/self/status"]});
        fs::write(&file, process.to_string()).expect("write it");
        let path = file.to_str().expect("a scratch folder is text");
        let output = running.exec(&["--process", path, "web"]);
        let none = output.succeeds().matches("\t0000000000000000").count();
        output.expect("five empty sets", none == 5);
    }
}

/// CVE-2023-25173: the groups of who calls give rights, and to be in one can take rights.
fn the_callers_groups_stay_outside() {
    let bundle = Bundle::new(&["true"]);
    let grouped = |words: &[&str]| called_by(&["--groups", "4,24"], words);
    let groups = ["grep", "Groups", "/proc/self/status"];
    for (own, said) in [(json!([]), "Groups:\t"), (json!([7]), "Groups:\t7")] {
        let mut first = Bundle::new(&groups);
        first.set(|config| config["process"]["user"]["additionalGids"] = own.clone());
        let output = grouped(&["run", "--bundle", first.path(), "first"]);
        output.expect(said, output.succeeds().trim_end() == said.trim_end());
        let running = running(&bundle, |config| {
            config["process"]["user"]["additionalGids"] = own;
        });
        let output = grouped(&[&["exec", "web"][..], &groups].concat());
        output.expect(said, output.succeeds().trim_end() == said.trim_end());
        drop(running);
    }
}

/// CVE-2022-0811: a setting of the whole machine, by its own name, by another's value, or by
/// a way around. Each is asked for as it is, so that nothing changes if it is taken.
fn a_setting_of_the_machine_is_refused() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern");
    let pattern = pattern.expect("a setting").trim_end().to_owned();
    let carried = format!("1+kernel.core_pattern={pattern}");
    for (name, value) in [
        ("kernel.core_pattern", pattern.as_str()),
        ("kernel/core_pattern", &pattern),
        ("net.ipv4.//.kernel.core_pattern", &pattern),
        ("net/../kernel/core_pattern", &pattern),
        ("net/ipv4/../../kernel/core_pattern", &pattern),
        ("kernel.shm_rmid_forced", &carried),
    ] {
        let mut bundle = Bundle::new(&["true"]);
        bundle.set(|config| config["linux"]["sysctl"] = json!({name: value}));
        let output = WARREN.run_bundle(&bundle, "web");
        output.expect("refused", output.code() == 1);
        assert!(nothing_is_left());
        fs::remove_dir_all(&bundle.folder).expect("remove the bundle");
    }
    let now = fs::read_to_string("/proc/sys/kernel/core_pattern");
    assert_eq!(now.expect("a setting").trim_end(), pattern);
}

/// CVE-2021-43784: a list that is cut maps other ids than it says.
fn a_map_that_is_too_long_is_no_shorter_one() {
    let mut bundle = Bundle::new(&["true"]);
    let lines: Vec<Value> = (0..4000)
        .map(|id| json!({"containerID": id, "hostID": 100_000 + 2 * id, "size": 1}))
        .collect();
    bundle.set(|config| {
        let namespaces = config["linux"]["namespaces"]
            .as_array_mut()
            .expect("a list");
        namespaces.push(json!({"type": "user"}));
        config["linux"]["uidMappings"] = json!(lines);
        config["linux"]["gidMappings"] = json!(lines);
    });
    let output = WARREN.run_bundle(&bundle, "web");
    output.exits(1).complains("write the id maps");
    assert!(nothing_is_left());
}

/// CVE-2014-8989: a group can take rights, and who could leave it in a namespace of its own
/// would have them.
fn who_has_one_id_cannot_drop_a_group() {
    let words = ["run", "--map", "single", "--host-root", "--"];
    let show = ["cat", "/proc/self/setgroups"];
    run(warren(words).args(show)).says("deny");
    let drop = ["setpriv", "--clear-groups", "true"];
    run(warren(words).args(drop)).complains("setgroups");
}

/// What is refused at once makes not even the folder of all.
fn nothing_is_left() -> bool {
    !WARREN.state().exists() || WARREN.is_empty()
}

/// Runs `warren oci` by way of setpriv(1), with these options of it.
fn called_by(setpriv: &[&str], words: &[&str]) -> Output {
    let command = WARREN.command(words);
    let mut caller = program("setpriv");
    caller.args(setpriv).arg("--").arg(command.get_program());
    run_to_files(caller.args(command.get_args()))
}

/// A container that runs until this is dropped.
struct Container;

fn running(bundle: &Bundle, change: impl FnOnce(&mut Value)) -> Container {
    let mut config = bundle.config.clone();
    config["process"]["args"] = json!(["sleep", "100"]);
    change(&mut config);
    fs::write(bundle.folder.join("config.json"), config.to_string()).expect("write it");
    let words = ["run", "-d", "--bundle", bundle.path(), "web"];
    WARREN.run(&words).succeeds();
    Container
}

impl Container {
    #[track_caller]
    fn exec(&self, words: &[&str]) -> Output {
        WARREN.run(&[&["exec"][..], words].concat())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = WARREN.run(&["delete", "--force", "web"]);
    }
}
