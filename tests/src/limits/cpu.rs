//! Time on a CPU.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use warren_testkit::{Running, Test, patience, run, tests};

use super::{is_v2, limited, ways};

pub const TESTS: &[Test] = tests! {
    Root:
        cpu_time_is_within_five_percent_of_the_quota,
        a_period_of_ones_own_keeps_the_share,
        the_heavier_of_two_groups_gets_more,
        a_set_of_cpus_is_all_that_is_run_on;
};

/// Works for three seconds and says which share of them it was on a CPU, in thousandths.
const WORKS: &str = "
import time, os
begin, used = time.monotonic(), os.times()
while time.monotonic() - begin < 3: pass
wall, now = time.monotonic() - begin, os.times()
print(round(1000 * (now[0] + now[1] - used[0] - used[1]) / wall))
";

fn share(way: &[&str], options: &[&str]) -> u64 {
    let mut command = limited(way, options);
    let output = run(command.args(["python3", "-c", WORKS]));
    output.succeeds().parse().expect("a number")
}

/// Never more than a fifth and five percent of it; where others leave less, once more.
fn is_a_fifth(options: &[&str]) {
    for way in ways() {
        let mut shares = Vec::new();
        for _ in 0..3 {
            let share = share(way, options);
            assert!(share <= 210, "{way:?}: {share} thousandths");
            shares.push(share);
            if share >= 190 {
                break;
            }
        }
        assert!(
            shares.iter().any(|share| *share >= 190),
            "{way:?}: {shares:?}"
        );
    }
}

fn cpu_time_is_within_five_percent_of_the_quota() {
    is_a_fifth(&["--cpus", "0.2"]);
}

fn a_period_of_ones_own_keeps_the_share() {
    is_a_fifth(&["--limit", "cpu.max=10000 50000"]);
}

/// Both on one CPU and from the same moment on, so that they are in each other's way.
fn the_heavier_of_two_groups_gets_more() {
    let begin = SystemTime::now() + Duration::from_secs(2) * patience();
    let begin = begin.duration_since(UNIX_EPOCH).expect("later").as_secs();
    let script = format!("import time; time.sleep(max(0, {begin} - time.time())){WORKS}");
    let way: &[&str] = if is_v2() { &["--cgroup", "/"] } else { &[] };
    let start = |weight| {
        let options = ["--cpu-weight", weight, "--cpuset-cpus", "0"];
        let mut command = limited(way, &options);
        Running::start(command.args(["python3", "-c", &script]))
    };
    let (mut light, mut heavy) = (start("10"), start("1000"));
    let number = |running: &mut Running| running.line().parse::<u64>().expect("a number");
    let (light_share, heavy_share) = (number(&mut light), number(&mut heavy));
    assert_eq!((light.ends(), heavy.ends()), (0, 0));
    assert!(
        heavy_share > 3 * light_share,
        "{heavy_share} and {light_share}"
    );
}

fn a_set_of_cpus_is_all_that_is_run_on() {
    for way in ways() {
        let mut command = limited(way, &["--cpuset-cpus", "1"]);
        let output =
            run(command.args(["grep", "Cpus_allowed_list", "/proc/self/status"]));
        output.says("Cpus_allowed_list:\t1");
    }
}
