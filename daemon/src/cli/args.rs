//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::settings::SettingFlags;

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
    /// Make a new owner token
    Token(TokenArguments),
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

/// `hitkeepd site`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hitkeepd site add shop.example --time-zone Europe/Berlin
  hitkeepd site set shop.example --hostname app.shop.example --hostname pay.shop.example
  hitkeepd site list --json
  hitkeepd site remove shop.example")]
pub(crate) struct SiteArguments {
    #[command(flatten)]
    pub(crate) client: ClientFlags,
    #[command(subcommand)]
    pub(crate) action: SiteAction,
}

/// What to do with sites.
#[derive(Debug, Subcommand)]
pub(crate) enum SiteAction {
    /// Add a site
    #[command(after_help = "Example:
  hitkeepd site add shop.example --time-zone Europe/Berlin")]
    Add {
        /// The host of its pages, without http:// and www.
        domain: String,
        #[command(flatten)]
        details: SiteDetails,
    },
    /// List the sites
    #[command(after_help = "Example:
  hitkeepd site list")]
    List,
    /// Change a site
    #[command(after_help = "Examples:
  hitkeepd site set shop.example --time-zone America/New_York
  hitkeepd site set shop.example --domain store.example --hostname shop.example")]
    Set {
        /// Domain, host name or id of the site
        site: String,
        /// Its new domain
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
        #[command(flatten)]
        details: SiteDetails,
        /// Leave it no host name but its domain
        #[arg(long, conflicts_with = "hostnames")]
        no_hostnames: bool,
    },
    /// Remove a site: its events are no longer counted anywhere
    #[command(after_help = "Example:
  hitkeepd site remove shop.example --yes")]
    Remove {
        /// Domain, host name or id of the site
        site: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// What a site has beside its domain.
#[derive(Debug, Default, Args)]
pub(crate) struct SiteDetails {
    /// IANA zone in which days begin, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// Another host of its pages; repeat for more; all of them together replace those it has
    #[arg(long = "hostname", value_name = "HOST")]
    pub(crate) hostnames: Vec<String>,
}

/// `hitkeepd goal`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hitkeepd goal add signup --site shop.example
  hitkeepd goal add \"Thank-you page\" --site shop.example --path /thanks
  hitkeepd goal list --site shop.example
  hitkeepd goal remove signup --site shop.example")]
pub(crate) struct GoalArguments {
    #[command(flatten)]
    pub(crate) client: ClientFlags,
    #[command(subcommand)]
    pub(crate) action: GoalAction,
}

/// What to do with goals.
#[derive(Debug, Subcommand)]
pub(crate) enum GoalAction {
    /// Add a goal; it counts the past as well as the future
    #[command(after_help = "Examples:
  hitkeepd goal add signup --site shop.example
  hitkeepd goal add \"Paid plans\" --site shop.example --event purchase
  hitkeepd goal add \"Thank-you page\" --site shop.example --path /thanks")]
    Add {
        /// What to call it; also the event it counts when neither --event nor --path is given
        name: String,
        #[command(flatten)]
        site: OneSite,
        /// Count events of this name
        #[arg(long, value_name = "NAME", conflicts_with = "path")]
        event: Option<String>,
        /// Count pageviews of this path
        #[arg(long, value_name = "PATH")]
        path: Option<String>,
    },
    /// List the goals of a site
    #[command(after_help = "Example:
  hitkeepd goal list --site shop.example")]
    List {
        #[command(flatten)]
        site: OneSite,
    },
    /// Remove a goal; events stay as they are
    #[command(after_help = "Example:
  hitkeepd goal remove signup --site shop.example")]
    Remove {
        /// Name or id of the goal
        goal: String,
        #[command(flatten)]
        site: OneSite,
    },
}

/// The site a command is about.
#[derive(Debug, Args)]
pub(crate) struct OneSite {
    /// Domain, host name or id of the site; may be left out when there is only one
    #[arg(long, value_name = "SITE")]
    pub(crate) site: Option<String>,
}

/// `hitkeepd query`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hitkeepd query goals --site shop.example --from 2026-03-01 --to 2026-03-31 --interval day
  hitkeepd query names --site shop.example")]
pub(crate) struct QueryArguments {
    #[command(flatten)]
    pub(crate) client: ClientFlags,
    #[command(subcommand)]
    pub(crate) report: Report,
}

/// What to ask for.
#[derive(Debug, Subcommand)]
pub(crate) enum Report {
    /// Conversions of goals over time: distinct sessions and occurrences a bucket
    #[command(after_help = "Examples:
  hitkeepd query goals --site shop.example
  hitkeepd query goals --site shop.example --goal signup --goal purchase --by-goal --from 2026-01-01 --to 2026-12-31 --interval month
  hitkeepd query goals --site shop.example --from 2026-03-29T00:00:00Z --to 2026-03-30T00:00:00Z --tz Europe/Berlin --json

A session that converts in two buckets counts in both, so the sum of the conversions can pass the number of sessions.")]
    Goals {
        #[command(flatten)]
        site: OneSite,
        /// Name or id of a goal; repeat for more [default: all goals]
        #[arg(long = "goal", value_name = "GOAL")]
        goals: Vec<String>,
        #[command(flatten)]
        range: RangeFlags,
        /// Length of a bucket [default: by the length of the range]
        #[arg(long, value_enum)]
        interval: Option<Interval>,
        /// One series a goal instead of their sum
        #[arg(long)]
        by_goal: bool,
    },
    /// Names of the events that were seen
    #[command(after_help = "Example:
  hitkeepd query names --site shop.example --from 2026-01-01 --to 2026-12-31")]
    Names {
        #[command(flatten)]
        site: OneSite,
        #[command(flatten)]
        range: RangeFlags,
    },
}

/// Which time a question is about.
#[derive(Debug, Args)]
pub(crate) struct RangeFlags {
    /// First moment: a date, a local time such as 2026-03-01T09:30, or RFC 3339 [default: 30 days before the end]
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// End: a moment, which is left out, or a date, which is included [default: in one day]
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// IANA zone of dates and buckets [default: the site's]
    #[arg(long, value_name = "ZONE")]
    pub(crate) tz: Option<String>,
}

/// Length of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Interval {
    Hour,
    Day,
    Week,
    Month,
}

/// `hitkeepd import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each line is a JSON object with `name`, `timestamp` (RFC 3339) and `url`, `site` or --site; `properties`, `session_id`, `event_id`,
`visitor_ip`, `user_agent` and `referrer` may follow. Lines with an `event_id` are stored once, however often they are sent:
with them a broken import is simply run again. Without, a request repeated after a lost connection may store its lines twice.

Examples:
  hitkeepd import events.ndjson.gz
  hitkeepd import --site shop.example january.ndjson february.ndjson
  zstdcat events.ndjson.zst | hitkeepd import - --json

Exit code 1 when a line was rejected or the import did not reach its end."
)]
pub(crate) struct ImportArguments {
    #[command(flatten)]
    pub(crate) client: ClientFlags,
    /// Files of events, plain or gzip; - is the standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Domain, host name or id of the site of lines that have no url
    #[arg(long, value_name = "SITE")]
    pub(crate) site: Option<String>,
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
