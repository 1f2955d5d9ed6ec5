//! Block devices.

use warren_testkit::{Output, Test, run, scratch, tests};

use super::{limited, open_to_all, ways};

pub const TESTS: &[Test] = tests! {
    Root:
        bytes_are_written_within_ten_percent_of_the_rate,
        bytes_are_read_within_ten_percent_of_the_rate,
        writes_are_made_within_ten_percent_of_the_rate,
        a_file_in_memory_is_on_no_disk;
};

/// Moves COUNT blocks of SIZE bytes past the page cache, which v1 does not count, and says
/// how many a second there were, in thousandths. The first are free: what was not used of
/// the time before is saved up.
const MOVES: &str = "
import mmap, os, sys, time
way, size, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
block = mmap.mmap(-1, size)
block.write(b'x' * size)
file = os.open('file', os.O_RDWR | os.O_CREAT | os.O_DIRECT)
def move(at):
    if way == 'write': os.pwrite(file, block, at * size)
    else: os.preadv(file, [block], at * size)
first = count // 4
for at in range(first): move(at)
begin = time.monotonic()
for at in range(first, first + count): move(at)
print(round(1000 * count / (time.monotonic() - begin)))
";

/// A folder on the disk of this machine, with a file to read.
fn folder() -> String {
    let folder = scratch();
    std::fs::write(folder.join("file"), vec![b'y'; 16 << 20]).expect("a file");
    open_to_all(&folder);
    open_to_all(&folder.join("file"));
    run(warren_testkit::program("sync").arg(folder.join("file"))).exits(0);
    folder.to_str().expect("text").to_owned()
}

fn moves(way: &[&str], options: &[&str], words: [&str; 3]) -> Output {
    let here = ["--here"];
    let options: Vec<&str> = here.iter().chain(options).copied().collect();
    let mut command = limited(way, &options);
    run(command.args(["python3", "-c", MOVES]).args(words))
}

#[track_caller]
fn is_about(output: &Output, wanted: u64) {
    let found: u64 = output.succeeds().parse().expect("a number");
    let range = wanted * 900 / 1000..=wanted * 1100 / 1000;
    output.expect(&format!("about {wanted}"), range.contains(&found));
}

fn bytes_are_written_within_ten_percent_of_the_rate() {
    for way in ways() {
        let rate = format!("{}:2M", folder());
        let output = moves(way, &["--write-bps", &rate], ["write", "65536", "96"]);
        // 2 MiB a second is 32 blocks.
        is_about(&output, 32_000);
    }
}

fn bytes_are_read_within_ten_percent_of_the_rate() {
    for way in ways() {
        let rate = format!("{}:2M", folder());
        let output = moves(way, &["--read-bps", &rate], ["read", "65536", "96"]);
        is_about(&output, 32_000);
    }
}

fn writes_are_made_within_ten_percent_of_the_rate() {
    for way in ways() {
        let rate = format!("{}:40", folder());
        let output = moves(way, &["--write-iops", &rate], ["write", "4096", "120"]);
        is_about(&output, 40_000);
    }
}

fn a_file_in_memory_is_on_no_disk() {
    for way in ways() {
        let output = run(limited(way, &["--write-bps", "/proc:1M"]).arg("true"));
        output.is_refused("--write-bps /proc:1M: find the disk of /proc: No such device");
    }
}
