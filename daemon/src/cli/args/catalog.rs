//! `hitkeepd site` and `hitkeepd goal`.

use clap::{Args, Subcommand};

use super::ClientFlags;

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
  hitkeepd site set shop.example --domain store.example --hostname shop.example
  hitkeepd site set shop.example --retention-days 400 --dry-run")]
    Set {
        /// Domain, host name or id of the site
        site: String,
        /// Its new domain
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
        #[command(flatten)]
        details: SiteDetails,
        /// For how many days it keeps events; 0 is for ever. What is older is not counted any more, at once
        #[arg(long, value_name = "DAYS")]
        retention_days: Option<u32>,
        /// With --retention-days: only say what it would remove
        #[arg(long, requires = "retention_days", conflicts_with_all = ["domain", "time_zone", "hostnames", "no_hostnames"])]
        dry_run: bool,
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
  hitkeepd goal add \"Pro plans\" --site shop.example --event purchase --where plan=pro
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
        /// Count only those whose property has this text; repeat for more, all of which must hold
        #[arg(long = "where", value_name = "KEY=VALUE")]
        conditions: Vec<String>,
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
