//! Block devices.

use std::fs;
use std::path::PathBuf;

use warren_testkit::{Output, Test, program, run, tests};

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

/// A folder on the disk of this machine, with a file to read. The tests' own may be in
/// memory. Removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Self {
        let path = format!("/var/tmp/warren-test-{}", std::process::id());
        let folder = Self(path.into());
        fs::create_dir(&folder.0).expect("a folder");
        fs::write(folder.0.join("file"), vec![b'y'; 16 << 20]).expect("a file");
        open_to_all(&folder.0);
        open_to_all(&folder.0.join("file"));
        run(program("sync").arg(folder.0.join("file"))).exits(0);
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Moves blocks in such a folder under a limit on its disk.
fn moves(way: &[&str], option: &str, rate: &str, words: [&str; 3]) -> Output {
    let folder = Folder::make();
    let rate = format!("{}:{rate}", folder.0.display());
    let mut command = limited(way, &["--here", option, &rate]);
    command.current_dir(&folder.0);
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
        let output = moves(way, "--write-bps", "2M", ["write", "65536", "96"]);
        // 2 MiB a second is 32 blocks.
        is_about(&output, 32_000);
    }
}

fn bytes_are_read_within_ten_percent_of_the_rate() {
    for way in ways() {
        let output = moves(way, "--read-bps", "2M", ["read", "65536", "96"]);
        is_about(&output, 32_000);
    }
}

fn writes_are_made_within_ten_percent_of_the_rate() {
    for way in ways() {
        let output = moves(way, "--write-iops", "40", ["write", "4096", "120"]);
        is_about(&output, 40_000);
    }
}

fn a_file_in_memory_is_on_no_disk() {
    for way in ways() {
        let output = run(limited(way, &["--write-bps", "/proc:1M"]).arg("true"));
        output.is_refused("--write-bps /proc:1M: find the disk of /proc: No such device");
    }
}
