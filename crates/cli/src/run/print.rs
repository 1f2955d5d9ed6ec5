//! `--print`: what would be run, in the language of another tool.

use clap::Args;

use crate::print::Language;

/// In which language.
#[derive(Debug, Args)]
pub struct PrintOptions {
    /// Print the same for another tool, and do nothing
    #[arg(
        long,
        value_name = "LANGUAGE",
        conflicts_with_all = ["plan", "report"],
        help_heading = "Explain"
    )]
    pub print: Option<Language>,
}
