//! One change of the catalog: the JSON payload of one frame of `catalog.log`.
//!
//! Fields may be added with a default; a kind of change is never given a second meaning. The frames are the audit trail as well, so
//! each says who made it and when.

use format::{SiteId, UnixMicros};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json::{instant_text, optional_uuid_text, site_text, uuid_text};
use super::records::{Goal, Site, Token};

/// A change with who made it and when.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When it was made.
    #[serde(with = "instant_text")]
    pub(crate) at: UnixMicros,
    /// The token it was made with; `None` if the daemon made it itself.
    #[serde(default, with = "optional_uuid_text")]
    pub(crate) by: Option<Uuid>,
    /// What was changed.
    #[serde(flatten)]
    pub(crate) change: Change,
}

/// What was changed. Whole values, so that a reader needs no earlier frame to understand one.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(crate) enum Change {
    /// A site was created, or has changed.
    SiteSet {
        /// As it is from now on.
        site: Site,
    },
    /// A site was removed, and its goals with it.
    SiteRemoved {
        /// Which.
        #[serde(with = "site_text")]
        id: SiteId,
    },
    /// A goal was created, or has changed.
    GoalSet {
        /// As it is from now on.
        goal: Goal,
    },
    /// A goal was removed.
    GoalRemoved {
        /// Of which site.
        #[serde(with = "site_text")]
        site_id: SiteId,
        /// Which.
        #[serde(with = "uuid_text")]
        id: Uuid,
    },
    /// The owner has a new token; the former one is worth nothing from now on.
    OwnerSet {
        /// The new token.
        token: Token,
    },
}

impl Change {
    /// What it is called, as in its JSON.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Change::SiteSet { .. } => "site_set",
            Change::SiteRemoved { .. } => "site_removed",
            Change::GoalSet { .. } => "goal_set",
            Change::GoalRemoved { .. } => "goal_removed",
            Change::OwnerSet { .. } => "owner_set",
        }
    }
}
