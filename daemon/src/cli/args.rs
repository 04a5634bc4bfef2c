//! The command line.

use clap::{Args, Parser, Subcommand};

use super::settings::SettingFlags;

/// An event store daemon that keeps every event it acknowledges, and its client.
#[derive(Debug, Parser)]
#[command(name = "hitkeepd", version, max_term_width = 120, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print every setting, its value and where it came from
    Config(ConfigArguments),
}

/// `hitkeepd config`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hitkeepd config
  HITKEEP_SYNC=os hitkeepd config --config /etc/hitkeepd.toml --json")]
pub(crate) struct ConfigArguments {
    /// One JSON array instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
