//! `hitkeepd query` and `hitkeepd import`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ClientFlags, OneSite};

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
  hitkeepd query goals --site shop.example --filter utm_source:newsletter --property plan=pro
  hitkeepd query goals --site shop.example --from 2026-03-01 --to 2026-03-31 --compare-from 2026-02-01 --compare-to 2026-02-28

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
        #[command(flatten)]
        filters: FilterFlags,
        /// First moment of a second range to compare with, in the same buckets
        #[arg(long, value_name = "TIME", requires = "compare_to")]
        compare_from: Option<String>,
        /// End of the range to compare with
        #[arg(long, value_name = "TIME", requires = "compare_from")]
        compare_to: Option<String>,
    },
    /// Names of the events that were seen
    #[command(after_help = "Example:
  hitkeepd query names --site shop.example --from 2026-01-01 --to 2026-12-31")]
    Names {
        #[command(flatten)]
        site: OneSite,
        #[command(flatten)]
        range: RangeFlags,
        #[command(flatten)]
        filters: FilterFlags,
    },
}

/// Which events count.
#[derive(Debug, Default, Args)]
pub(crate) struct FilterFlags {
    /// Only events of sessions with a pageview or event of this value, such as path:/pricing, device:Mobile or utm_source:news; repeat for
    /// more, all of which must hold
    #[arg(long = "filter", value_name = "TYPE:VALUE")]
    pub(crate) filters: Vec<String>,
    /// Only events whose property has this text; repeat for more, all of which must hold
    #[arg(long = "property", value_name = "KEY=VALUE")]
    pub(crate) properties: Vec<String>,
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
