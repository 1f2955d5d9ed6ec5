//! The project's chores, as `cargo xtask NAME`.

mod bench;
mod command;
mod faults;
mod order;
mod stage;
mod tally;
mod test;
mod vm;
mod weaken;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An error that ends a chore: told once, by `main`.
type Failure = Box<dyn std::error::Error>;
type Result<T> = std::result::Result<T, Failure>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run the tests, by tier: 1 unit, 2 end to end as a user, 3 as root, 4 in the VM
    Test(test::Arguments),
    /// Run the end-to-end tests in a virtual machine: cgroup v2, systemd, AppArmor
    Vm(vm::Arguments),
    /// Measure a run beside the kernel's floor, bubblewrap and unshare
    Bench(bench::Arguments),
    /// Let each system call of a run fail once, and kill the run at each
    Faults(faults::Arguments),
    /// Write down which functions a run executes, so that they lie together in the binary
    Order(order::Arguments),
    /// Switch off one defence after the other, and see that a test of an attack notices
    Weaken(weaken::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Vm(arguments) => vm::run(&arguments),
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Faults(arguments) => faults::run(&arguments),
        Chore::Order(arguments) => order::run(&arguments),
        Chore::Weaken(arguments) => weaken::run(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
