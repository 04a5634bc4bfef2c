//! The command line: commands, flags, and the texts of `--help`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::settings::SettingFlags;

mod catalog;
mod events;

pub(crate) use catalog::{GoalAction, GoalArguments, OneSite, SiteAction, SiteArguments, SiteDetails};
pub(crate) use events::{FilterFlags, ImportArguments, Interval, QueryArguments, RangeFlags, Report};

/// An event store daemon that keeps every event it acknowledges, and its client.
#[derive(Debug, Parser)]
#[command(
    name = "hitkeepd",
    version,
    max_term_width = 120,
    after_help = "Examples:
  hitkeepd serve --data-path /var/lib/hitkeepd
  hitkeepd site add shop.example --time-zone Europe/Berlin
  hitkeepd goal add signup --site shop.example
  hitkeepd import events.ndjson.gz
  hitkeepd query goals --site shop.example --from 2026-03-01 --to 2026-03-31 --interval day

Exit codes: 0 done, 1 failed, 2 the command line or the configuration is not right."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon in the foreground
    Serve(ServeArguments),
    /// Print every setting, its value and where it came from
    Config(ConfigArguments),
    /// Add, list, change or remove sites
    Site(SiteArguments),
    /// Add, list or remove goals
    Goal(GoalArguments),
    /// Ask for counts and names
    Query(QueryArguments),
    /// Send files of events, one JSON object a line
    Import(ImportArguments),
    /// Turn all that is stored into segments
    Seal(SealArguments),
    /// Make a new owner token
    Token(TokenArguments),
    /// Read every byte of a stopped daemon's data directory and say what is wrong
    Verify(VerifyArguments),
    /// Show what is in a segment, a log, a manifest or a catalog
    Inspect(InspectArguments),
}

/// `hitkeepd seal`.
#[derive(Debug, Args)]
#[command(
    after_help = "The daemon does this by itself when a log is full or old; counts are the same before and after. With --data-path the
directory's daemon is asked if it runs; if it does not, this command does it itself: run it as the daemon's user then.

Examples:
  hitkeepd seal
  hitkeepd seal --data-path /var/lib/hitkeepd"
)]
pub(crate) struct SealArguments {
    #[command(flatten)]
    pub(crate) client: ClientFlags,
}

/// `hitkeepd serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Once it serves, stdout gets one line: listening on http://ADDR:PORT. Logs go to stderr. TERM and INT drain: requests
that were accepted are finished and synced, then the exit code is 0. A second signal ends at once; nothing acknowledged is lost.
Exit codes besides: 74 the disk failed, 75 another daemon has the data directory open.

Examples:
  hitkeepd serve
  hitkeepd serve --http-addr :8080 --public-url https://stats.example.com --data-path /var/lib/hitkeepd
  HITKEEP_SYNC=interval=50ms hitkeepd serve --config /etc/hitkeepd.toml"
)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// `hitkeepd token`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  hitkeepd token reset-owner --data-path /var/lib/hitkeepd")]
pub(crate) struct TokenArguments {
    #[command(subcommand)]
    pub(crate) action: TokenAction,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenAction {
    /// Make a new owner token in a stopped daemon's data directory; the old one is no longer known
    #[command(after_help = "The token is in admin.token in the data directory, readable by its owner alone. Run this as the daemon's user.

Example:
  hitkeepd token reset-owner --data-path /var/lib/hitkeepd")]
    ResetOwner {
        #[command(flatten)]
        settings: SettingFlags,
    },
}

/// `hitkeepd verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Checks every checksum, and every index of segments against the columns it was made from. Nothing is changed. A torn tail
that a crash left is nothing wrong: nobody was told that it is stored.
Exit codes: 0 all is as it was written, 1 something is wrong or cannot be read, 75 a daemon has the data directory open.

Examples:
  hitkeepd verify --data-path /var/lib/hitkeepd
  hitkeepd verify --data-path /mnt/backup/hitkeepd --json"
)]
pub(crate) struct VerifyArguments {
    /// One JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// `hitkeepd inspect`.
#[derive(Debug, Args)]
#[command(after_help = "The file is only read. Of a log that a running daemon appends to, the end may look torn.

Examples:
  hitkeepd inspect data/segments/0000000000000001.seg
  hitkeepd inspect data/catalog.log --json")]
pub(crate) struct InspectArguments {
    /// The file
    pub(crate) file: PathBuf,
    /// One JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
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

/// Flags of every command that talks to a running daemon.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ClientFlags {
    /// URL of the daemon [default: the public URL in the settings, else http://127.0.0.1:8080] [env: HITKEEP_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// File that holds the token [default: admin.token in the data directory] [env: HITKEEP_TOKEN (the token), HITKEEP_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The daemon's TOML file of settings, to find its URL and its data directory [env: HITKEEP_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The daemon's data directory, to find its token [default: data] [env: HITKEEP_DATA_PATH]
    #[arg(long, global = true, value_name = "DIRECTORY")]
    pub(crate) data_path: Option<String>,
    /// JSON on one line instead of a table
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has no example in its help", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Arguments::command());
    }

    #[test]
    fn flags_of_the_connection_stand_anywhere() {
        for line in [["hitkeepd", "site", "--json", "list"], ["hitkeepd", "site", "list", "--json"]] {
            let Ok(Arguments { command: Command::Site(site) }) = Arguments::try_parse_from(line) else { panic!("{line:?}") };
            assert!(site.client.json);
        }
    }
}
