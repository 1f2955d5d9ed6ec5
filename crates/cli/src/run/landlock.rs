//! The second wall: Landlock, and the TCP ports that it alone can hold.

use clap::Args;
use warren_confine::landlock::Landlock;

/// What is asked of Landlock.
#[derive(Debug, Args)]
pub struct LandlockOptions {
    /// Put Landlock behind the mounts, with the same rules, as far as this kernel has it
    #[arg(long, help_heading = "Isolation")]
    pub landlock: bool,
    /// Fail where this kernel cannot hold WHAT, which is turned on: landlock
    #[arg(
        long,
        value_name = "WHAT",
        value_parser = ["landlock"],
        help_heading = "Isolation"
    )]
    pub require: Vec<String>,
    /// Let TCP connect to port N; no other port can be used then
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..),
        help_heading = "Isolation"
    )]
    pub connect_port: Vec<u16>,
    /// Let TCP bind port N, 0 for one of the kernel's choice; no other port can be used
    /// then
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        help_heading = "Isolation"
    )]
    pub bind_port: Vec<u16>,
}

impl LandlockOptions {
    /// What they ask for, on top of what a profile does; each of them turns it on.
    pub fn wanted(&self, given: Option<Landlock>) -> Option<Landlock> {
        let required = !self.require.is_empty();
        let has_ports = !self.connect_port.is_empty() || !self.bind_port.is_empty();
        if !self.landlock && !required && !has_ports {
            return given;
        }
        let mut wanted = given.unwrap_or_default();
        wanted.required |= required;
        if has_ports {
            let ports = wanted.ports.get_or_insert_default();
            ports.connect.extend(&self.connect_port);
            ports.bind.extend(&self.bind_port);
        }
        Some(wanted)
    }
}
