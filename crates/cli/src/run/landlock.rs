//! The second wall: Landlock, and the TCP ports that it alone can hold.

use clap::Args;
use warren_confine::landlock::{Landlock, Ports};

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
    /// What they ask for; each of them turns it on.
    pub fn wanted(&self) -> Option<Landlock> {
        let required = !self.require.is_empty();
        let (connect, bind) = (self.connect_port.clone(), self.bind_port.clone());
        let ports =
            (!connect.is_empty() || !bind.is_empty()).then_some(Ports { connect, bind });
        (self.landlock || required || ports.is_some())
            .then_some(Landlock { required, ports })
    }
}
