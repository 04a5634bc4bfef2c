//! What the catalog holds: sites, goals and tokens.

use format::{SiteId, UnixMicros};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json::{hash_text, instant_text, optional_instant_text, site_text, uuid_text};
use super::permission::{InstanceRole, Role};
use crate::secret::TokenHash;

/// A site: one stream of events, found by the host of the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Site {
    /// Its identity; never given to another site, not even after this one was removed.
    #[serde(with = "site_text")]
    pub(crate) id: SiteId,
    /// The host it is found by, lower case, without `www.`; unique.
    pub(crate) domain: String,
    /// Further hosts it is found by, of the same form; unique among all sites.
    #[serde(default)]
    pub(crate) hostnames: Vec<String>,
    /// The IANA name of the zone that dashboards and the command line use.
    pub(crate) time_zone: String,
    /// For how many days events are kept; 0 is for ever.
    #[serde(default)]
    pub(crate) data_retention_days: u32,
    /// When it was created.
    #[serde(with = "instant_text")]
    pub(crate) created_at: UnixMicros,
}

/// What a goal counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GoalKind {
    /// Events of a name.
    Event,
    /// Pageviews of a path.
    Path,
}

/// A property that a row has to have to count for a goal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Where {
    /// Where the property is, as [`query::PropertyKey::parse`] reads it.
    pub(crate) key: String,
    /// The text of its value.
    pub(crate) value: String,
}

/// A goal: a question asked of the index, which counts the past as well as the future.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Goal {
    /// Its identity.
    #[serde(with = "uuid_text")]
    pub(crate) id: Uuid,
    /// The site whose events it counts.
    #[serde(with = "site_text")]
    pub(crate) site_id: SiteId,
    /// What people call it.
    pub(crate) name: String,
    /// Whether `value` is an event's name or a path.
    #[serde(rename = "type")]
    pub(crate) kind: GoalKind,
    /// Compared with the event's name or path byte by byte.
    pub(crate) value: String,
    /// What a row has to have besides, all of it.
    #[serde(rename = "where", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) conditions: Vec<Where>,
    /// When it was created.
    #[serde(with = "instant_text")]
    pub(crate) created_at: UnixMicros,
}

/// What a token may do on one site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SiteRole {
    /// The site.
    #[serde(with = "site_text")]
    pub(crate) site_id: SiteId,
    /// The role on it.
    pub(crate) role: Role,
}

/// A token, of which only the hash is known.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Token {
    /// Its identity, which stands in the records it sent and beside the changes it made.
    #[serde(with = "uuid_text")]
    pub(crate) id: Uuid,
    /// What a client calls it.
    pub(crate) name: String,
    /// SHA-256 of the token.
    #[serde(with = "hash_text")]
    pub(crate) hash: TokenHash,
    /// What it may do on the whole instance.
    pub(crate) instance_role: InstanceRole,
    /// What it may do on single sites.
    #[serde(default)]
    pub(crate) site_roles: Vec<SiteRole>,
    /// When it was created.
    #[serde(with = "instant_text")]
    pub(crate) created_at: UnixMicros,
    /// When it was revoked, if it was.
    #[serde(default, with = "optional_instant_text")]
    pub(crate) revoked_at: Option<UnixMicros>,
}

impl Token {
    /// The role it has on a site; `None` where nothing was granted.
    pub(crate) fn role_on(&self, site: SiteId) -> Option<Role> {
        match self.instance_role {
            InstanceRole::Owner => Some(Role::Owner),
            InstanceRole::Admin | InstanceRole::User => {
                let granted = self.site_roles.iter().find(|grant| grant.site_id == site).map(|grant| grant.role);
                // An instance admin may look at every site, granted or not.
                granted.or((self.instance_role == InstanceRole::Admin).then_some(Role::Viewer))
            }
        }
    }
}
