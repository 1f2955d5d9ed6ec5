//! How a run ends is how its command ended.

use std::fs;

use warren_testkit::{Test, run, scratch, tests, warren};

use super::{inside, inside_bubblewrap, inside_with};

pub const TESTS: &[Test] = tests! {
    Both:
        the_exit_code_is_the_commands_as_under_bubblewrap,
        a_signal_gives_128_and_its_number_as_under_bubblewrap,
        a_missing_command_gives_127,
        a_directory_gives_126,
        a_file_that_may_not_be_executed_gives_126,
        a_script_without_its_interpreter_is_told_from_a_missing_one,
        a_bad_flag_gives_125_and_the_usage,
        no_command_gives_125_and_the_usage,
        the_code_is_the_commands_though_a_child_outlives_it,
        without_an_init_the_command_is_pid_1,
        help_goes_to_standard_output_with_code_0;
};

fn the_exit_code_is_the_commands_as_under_bubblewrap() {
    for code in [0, 1, 7, 125, 255] {
        let script = format!("exit {code}");
        inside(&script).exits(code);
        inside_bubblewrap(&script).exits(code);
    }
}

fn a_signal_gives_128_and_its_number_as_under_bubblewrap() {
    for (name, number) in [("TERM", 15), ("KILL", 9), ("HUP", 1)] {
        let script = format!("kill -{name} $$");
        inside(&script).exits(128 + number);
        inside_bubblewrap(&script).exits(128 + number);
    }
}

fn a_missing_command_gives_127() {
    for name in ["no-such-command", "/no/such/command"] {
        run(&mut warren(["run", "--", name]))
            .exits(127)
            .complains(name);
    }
}

fn a_directory_gives_126() {
    run(&mut warren(["run", "--", "/usr"]))
        .exits(126)
        .complains("/usr");
}

fn a_file_that_may_not_be_executed_gives_126() {
    let file = scratch().join("plain");
    fs::write(&file, "text").expect("write a file");
    let file = file.display().to_string();
    run(&mut warren([
        "run",
        "--ro-bind",
        &file,
        "/srv/plain",
        "--",
        "/srv/plain",
    ]))
    .exits(126)
    .complains("/srv/plain");
}

fn a_script_without_its_interpreter_is_told_from_a_missing_one() {
    let file = scratch().join("script");
    fs::write(&file, "#!/no/such/interpreter\n").expect("write a script");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("make it executable");
    let file = file.display().to_string();
    run(&mut warren([
        "run",
        "--ro-bind",
        &file,
        "/srv/script",
        "--",
        "/srv/script",
    ]))
    .exits(127)
    .complains("warren: execute /srv/script: No such file or directory\n")
    .complains("hint: the file is there; the interpreter in its first line");
}

fn a_bad_flag_gives_125_and_the_usage() {
    let output = run(&mut warren(["run", "--no-such-flag", "--", "true"]));
    output.exits(125).complains("--no-such-flag");
    output.expect(
        "the usage line",
        output.stderr.to_lowercase().contains("usage: warren run"),
    );
}

fn no_command_gives_125_and_the_usage() {
    let output = run(&mut warren(["run"]));
    output.exits(125);
    output.expect(
        "the usage line",
        output.stderr.to_lowercase().contains("usage: warren run"),
    );
}

fn the_code_is_the_commands_though_a_child_outlives_it() {
    inside("sleep 1000 >/dev/null 2>&1 & exit 5").exits(5);
}

fn without_an_init_the_command_is_pid_1() {
    inside_with(&["--no-init"], "echo $$; exit 9")
        .exits(9)
        .has("1\n");
}

fn help_goes_to_standard_output_with_code_0() {
    let output = run(&mut warren(["run", "--help"]));
    for flag in [
        "--host-root",
        "--bind",
        "--hostname",
        "--plan",
        "--trace",
        "--share",
    ] {
        output.exits(0).has(flag);
    }
}
