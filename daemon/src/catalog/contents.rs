//! The fold of the catalog's changes: what exists now.
//!
//! Invariants:
//!
//! * every host leads to at most one site, and every site's domain and host names lead to it;
//! * goals belong to sites that exist;
//! * the identity of a removed site or goal is never given out again: events of the site may still be in logs and segments.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use format::SiteId;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::change::Change;
use super::domain;
use super::records::{Goal, Site, Token};
use crate::secret::TokenHash;

/// What exists: a value that readers share and a change replaces.
#[derive(Clone, Default)]
pub(crate) struct Contents {
    sites: HashMap<SiteId, Arc<Site>>,
    hosts: HashMap<String, Arc<Site>>,
    goals: HashMap<SiteId, Vec<Arc<Goal>>>,
    tokens: HashMap<TokenHash, Arc<Token>>,
    owner: Option<Arc<Token>>,
    removed: HashSet<Uuid>,
    /// Sites that were removed: their rows may still be on the disk.
    removed_sites: HashSet<SiteId>,
    /// Sites in the order of their creation.
    order: Vec<SiteId>,
}

impl Contents {
    /// The site that `host` leads to: trimmed, lowered and without one leading `www.`, equal to a domain or host name.
    pub(crate) fn site_by_host(&self, host: &str) -> Option<&Arc<Site>> {
        self.hosts.get(&*domain::comparable(host))
    }

    /// The site with this identity.
    pub(crate) fn site(&self, id: SiteId) -> Option<&Arc<Site>> {
        self.sites.get(&id)
    }

    /// All sites, newest first.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.order.iter().rev().filter_map(|id| self.sites.get(id))
    }

    /// All sites that were removed, ever.
    pub(crate) fn removed_sites(&self) -> impl Iterator<Item = SiteId> {
        self.removed_sites.iter().copied()
    }

    /// The goals of a site, newest first.
    pub(crate) fn goals(&self, site: SiteId) -> impl DoubleEndedIterator<Item = &Arc<Goal>> + ExactSizeIterator {
        self.goals.get(&site).map_or(&[][..], Vec::as_slice).iter().rev()
    }

    /// One goal of a site.
    pub(crate) fn goal(&self, site: SiteId, id: Uuid) -> Option<&Arc<Goal>> {
        self.goals(site).find(|goal| goal.id == id)
    }

    /// The token that a client presented, unless it is unknown or revoked; both take the same way.
    pub(crate) fn token(&self, presented: &str) -> Option<&Arc<Token>> {
        let hash = TokenHash::of(presented);
        let found = self.tokens.get(&hash);
        // The map finds by hash, so no comparison ever sees the token; the one that decides takes constant time.
        let stored = found.map_or(&[0; 32], |token| token.hash.bytes());
        let same = bool::from(stored.ct_eq(hash.bytes()));
        found.filter(|token| same && token.revoked_at.is_none())
    }

    /// The owner's present token.
    pub(crate) fn owner(&self) -> Option<&Arc<Token>> {
        self.owner.as_ref()
    }

    /// Whether an identity is or was in use.
    pub(super) fn knows(&self, id: Uuid) -> bool {
        let site = SiteId::new(id.into_bytes());
        self.removed.contains(&id) || self.sites.contains_key(&site) || self.goals.values().flatten().any(|goal| goal.id == id)
    }

    /// Takes in one change.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::SiteSet { site } => self.set_site(Arc::new(site)),
            Change::SiteRemoved { id } => self.remove_site(id),
            Change::GoalSet { goal } => self.set_goal(Arc::new(goal)),
            Change::GoalRemoved { site_id, id } => {
                if let Some(goals) = self.goals.get_mut(&site_id) {
                    goals.retain(|goal| goal.id != id);
                }
                self.removed.insert(id);
            }
            Change::OwnerSet { token } => {
                let token = Arc::new(token);
                if let Some(former) = self.owner.replace(Arc::clone(&token)) {
                    self.tokens.remove(&former.hash);
                }
                self.tokens.insert(token.hash, token);
            }
        }
    }

    fn set_site(&mut self, site: Arc<Site>) {
        match self.sites.insert(site.id, Arc::clone(&site)) {
            Some(former) => self.forget_hosts(&former),
            None => self.order.push(site.id),
        }
        for host in hosts(&site) {
            self.hosts.insert(host.clone(), Arc::clone(&site));
        }
    }

    fn remove_site(&mut self, id: SiteId) {
        let Some(site) = self.sites.remove(&id) else { return };
        self.forget_hosts(&site);
        self.order.retain(|other| *other != id);
        let goals = self.goals.remove(&id).unwrap_or_default();
        self.removed.extend(goals.iter().map(|goal| goal.id));
        self.removed.insert(Uuid::from_bytes(id.bytes()));
        self.removed_sites.insert(id);
    }

    fn set_goal(&mut self, goal: Arc<Goal>) {
        if !self.sites.contains_key(&goal.site_id) {
            return;
        }
        let goals = self.goals.entry(goal.site_id).or_default();
        match goals.iter_mut().find(|other| other.id == goal.id) {
            Some(place) => *place = goal,
            None => goals.push(goal),
        }
    }

    fn forget_hosts(&mut self, site: &Site) {
        for host in hosts(site) {
            self.hosts.remove(host);
        }
    }
}

/// Every host that leads to a site.
pub(super) fn hosts(site: &Site) -> impl Iterator<Item = &String> {
    std::iter::once(&site.domain).chain(&site.hostnames)
}
