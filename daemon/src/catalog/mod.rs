//! Sites, goals and tokens: the fold of `catalog.log`.
//!
//! Invariants:
//!
//! * a change is durable before its caller hears of it, and before any reader sees it;
//! * readers take no lock that a change holds while it syncs: they share the last contents, and a change replaces them in one step;
//! * after a failed sync no change is made any more; only a new start finds out what is on the disk.
//!
//! Parts, in reading order: [`records`] (what there is), [`permission`] (who may), [`domain`] and [`draft`] (what may be asked for),
//! [`change`] (one frame's JSON), [`contents`] (the fold).

pub(crate) mod change;
pub(crate) mod contents;
pub(crate) mod domain;
pub(crate) mod draft;
mod json;
pub(crate) mod permission;
pub(crate) mod records;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use format::{SiteId, UnixMicros};
use uuid::Uuid;

use self::change::{Change, Entry};
use self::contents::{Contents, hosts};
use self::draft::GoalDraft;
use self::permission::InstanceRole;
use self::records::{Goal, Site, Token};
use crate::health::Health;
use crate::secret::TokenHash;

/// The most sites of an instance: all of them are in memory, and a change copies their table.
pub(crate) const MAX_SITES: usize = 10_000;

/// The most goals of a site: a report without `goal_id` asks for all of them.
pub(crate) const MAX_GOALS: usize = 1_000;

/// Where changes become durable: the paired file, and in tests a list that fails on demand.
pub(crate) trait Journal: Send {
    /// Appends a change and returns when it is durable and proven.
    ///
    /// # Errors
    ///
    /// [`format::Error::Full`] and [`format::Error::TooLarge`] if the change is not in it; any other error is final.
    fn append(&mut self, payload: &[u8]) -> Result<(), format::Error>;

    /// Writes what is there anew if it has become long. No change is lost, whatever comes of it.
    ///
    /// # Errors
    ///
    /// [`format::Error::Full`], and one that is out of descriptors, if it stays as it is; any other error is final.
    fn tidy(&mut self) -> Result<(), format::Error>;
}

/// Who makes a change, and when.
#[derive(Clone, Copy)]
pub(crate) struct By {
    /// The token it is made with; `None` for the daemon itself.
    pub(crate) token: Option<Uuid>,
    /// The clock at the edge.
    pub(crate) at: UnixMicros,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Another site has this domain or host name.
    #[error("the domain or host name is already in use")]
    HostTaken,
    /// The identity is or was that of something else.
    #[error("the identity is already in use")]
    IdTaken,
    /// There is no such site.
    #[error("no such site")]
    UnknownSite,
    /// There is no such goal on this site.
    #[error("no such goal")]
    UnknownGoal,
    /// There are [`MAX_SITES`] sites.
    #[error("there may be at most {MAX_SITES} sites")]
    TooManySites,
    /// The site has [`MAX_GOALS`] goals.
    #[error("a site may have at most {MAX_GOALS} goals")]
    TooManyGoals,
    /// No space is left, or the file has reached its bound; the same change may be tried later.
    #[error("no space left for the change")]
    DiskFull,
    /// A sync failed, now or before: whether the change is stored shows after a restart.
    #[error("the catalog takes no more changes after a failed sync")]
    Failed,
}

/// Why a catalog cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// A change is not what this version writes.
    #[error("change {number} of the catalog cannot be understood")]
    Undecodable {
        /// Counted from 1.
        number: usize,
        /// What serde says.
        source: serde_json::Error,
    },
}

/// What a change in the catalog's file is called.
///
/// # Errors
///
/// If it is not one that this version writes.
pub(crate) fn kind_of_change(payload: &[u8]) -> Result<&'static str, serde_json::Error> {
    let entry: Entry = serde_json::from_slice(payload)?;
    Ok(entry.change.name())
}

/// What a site becomes: absent parts stay.
#[derive(Clone, Debug, Default)]
pub(crate) struct SitePatch {
    /// The new domain, checked.
    pub(crate) domain: Option<String>,
    /// The new host names, checked.
    pub(crate) hostnames: Option<Vec<String>>,
    /// The new time zone, checked.
    pub(crate) time_zone: Option<String>,
    /// For how many days it keeps events from now on, checked.
    pub(crate) data_retention_days: Option<u32>,
}

/// The catalog. Reading never waits for a change; changes wait for the disk and belong on a thread that may.
pub(crate) struct Catalog {
    contents: RwLock<Arc<Contents>>,
    writer: Mutex<Writer>,
    health: Arc<Health>,
}

struct Writer {
    journal: Box<dyn Journal>,
    failed: bool,
}

impl Catalog {
    /// Folds the changes that the file holds.
    ///
    /// # Errors
    ///
    /// [`OpenError::Undecodable`]: the start stops rather than run with a part of the tokens.
    pub(crate) fn open<'a>(
        changes: impl IntoIterator<Item = &'a [u8]>,
        journal: Box<dyn Journal>,
        health: Arc<Health>,
    ) -> Result<Catalog, OpenError> {
        let mut contents = Contents::default();
        for (index, payload) in changes.into_iter().enumerate() {
            let entry: Entry = serde_json::from_slice(payload).map_err(|source| OpenError::Undecodable { number: index + 1, source })?;
            contents.apply(entry.change);
        }
        let writer = Mutex::new(Writer { journal, failed: false });
        Ok(Catalog { contents: RwLock::new(Arc::new(contents)), writer, health })
    }

    /// What exists now.
    pub(crate) fn contents(&self) -> Arc<Contents> {
        // A panic while the lock is held cannot leave half a pointer, so a poisoned lock is as good as any.
        Arc::clone(&self.contents.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The site that `host` leads to; see [`Contents::site_by_host`].
    pub(crate) fn site_by_host(&self, host: &str) -> Option<Arc<Site>> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner).site_by_host(host).cloned()
    }

    /// As [`Catalog::site_by_host`] for callers on the path of every event: two threads that count references to the same site slow each
    /// other down.
    pub(crate) fn site_id_by_host(&self, host: &str) -> Option<SiteId> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner).site_by_host(host).map(|site| site.id)
    }

    /// The site with this identity.
    pub(crate) fn site(&self, id: SiteId) -> Option<Arc<Site>> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner).site(id).cloned()
    }

    /// The token that a client presented, if it is worth anything.
    pub(crate) fn token(&self, presented: &str) -> Option<Arc<Token>> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner).token(presented).cloned()
    }

    /// Creates a site under checked names; `id` if the client chose one.
    ///
    /// # Errors
    ///
    /// [`Refusal::HostTaken`], [`Refusal::IdTaken`], [`Refusal::TooManySites`], [`Refusal::DiskFull`], [`Refusal::Failed`].
    pub(crate) fn create_site(
        &self,
        id: Option<SiteId>,
        domain: String,
        hostnames: Vec<String>,
        time_zone: String,
        data_retention_days: u32,
        by: By,
    ) -> Result<Arc<Site>, Refusal> {
        let mut writer = self.writer()?;
        let contents = self.contents();
        if contents.sites().count() >= MAX_SITES {
            return Err(Refusal::TooManySites);
        }
        let id = match id {
            Some(id) => unused(&contents, Uuid::from_bytes(id.bytes()))?,
            None => Uuid::new_v4(),
        };
        let id = SiteId::new(id.into_bytes());
        let site = Site { id, domain, hostnames, time_zone, data_retention_days, created_at: by.at };
        ensure_hosts_free(&contents, &site)?;
        self.commit(&mut writer, Change::SiteSet { site }, by)?;
        self.site(id).ok_or(Refusal::UnknownSite)
    }

    /// Changes the names, the zone or the retention of a site.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnknownSite`], [`Refusal::HostTaken`], [`Refusal::DiskFull`], [`Refusal::Failed`].
    pub(crate) fn change_site(&self, id: SiteId, patch: SitePatch, by: By) -> Result<Arc<Site>, Refusal> {
        let mut writer = self.writer()?;
        let contents = self.contents();
        let former = contents.site(id).ok_or(Refusal::UnknownSite)?;
        let mut site = Site::clone(former);
        site.domain = patch.domain.unwrap_or(site.domain);
        site.hostnames = patch.hostnames.unwrap_or(site.hostnames);
        site.time_zone = patch.time_zone.unwrap_or(site.time_zone);
        site.data_retention_days = patch.data_retention_days.unwrap_or(site.data_retention_days);
        // A host name that became the domain need not stand twice.
        site.hostnames.retain(|name| *name != site.domain);
        if site == **former {
            return Ok(Arc::clone(former));
        }
        ensure_hosts_free(&contents, &site)?;
        self.commit(&mut writer, Change::SiteSet { site }, by)?;
        self.site(id).ok_or(Refusal::UnknownSite)
    }

    /// Removes a site and its goals. Nothing leads to its events any more, and compaction takes them off the disk.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnknownSite`], [`Refusal::DiskFull`], [`Refusal::Failed`].
    pub(crate) fn remove_site(&self, id: SiteId, by: By) -> Result<(), Refusal> {
        let mut writer = self.writer()?;
        self.contents().site(id).ok_or(Refusal::UnknownSite)?;
        self.commit(&mut writer, Change::SiteRemoved { id }, by)
    }

    /// Creates a goal; `id` if the client chose one.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnknownSite`], [`Refusal::IdTaken`], [`Refusal::TooManyGoals`], [`Refusal::DiskFull`], [`Refusal::Failed`].
    pub(crate) fn create_goal(&self, site_id: SiteId, id: Option<Uuid>, draft: GoalDraft, by: By) -> Result<Goal, Refusal> {
        let mut writer = self.writer()?;
        let contents = self.contents();
        contents.site(site_id).ok_or(Refusal::UnknownSite)?;
        if contents.goals(site_id).len() >= MAX_GOALS {
            return Err(Refusal::TooManyGoals);
        }
        let id = match id {
            Some(id) => unused(&contents, id)?,
            None => Uuid::new_v4(),
        };
        let GoalDraft { name, kind, value, conditions } = draft;
        let goal = Goal { id, site_id, name, kind, value, conditions, created_at: by.at };
        self.commit(&mut writer, Change::GoalSet { goal: goal.clone() }, by)?;
        Ok(goal)
    }

    /// Changes what a goal is called and what it counts; the past is counted anew.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnknownGoal`], [`Refusal::DiskFull`], [`Refusal::Failed`].
    pub(crate) fn change_goal(&self, site_id: SiteId, id: Uuid, draft: GoalDraft, by: By) -> Result<Goal, Refusal> {
        let mut writer = self.writer()?;
        let contents = self.contents();
        let former = contents.goal(site_id, id).ok_or(Refusal::UnknownGoal)?;
        let GoalDraft { name, kind, value, conditions } = draft;
        let goal = Goal { name, kind, value, conditions, ..Goal::clone(former) };
        if goal != **former {
            self.commit(&mut writer, Change::GoalSet { goal: goal.clone() }, by)?;
        }
        Ok(goal)
    }

    /// Removes a goal. The events it counted stay.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnknownGoal`], [`Refusal::DiskFull`], [`Refusal::Failed`].
    pub(crate) fn remove_goal(&self, site_id: SiteId, id: Uuid, by: By) -> Result<(), Refusal> {
        let mut writer = self.writer()?;
        self.contents().goal(site_id, id).ok_or(Refusal::UnknownGoal)?;
        self.commit(&mut writer, Change::GoalRemoved { site_id, id }, by)
    }

    /// Makes the token with this hash the owner's; the former one is worth nothing from then on.
    ///
    /// # Errors
    ///
    /// [`Refusal::DiskFull`], [`Refusal::Failed`].
    pub(crate) fn set_owner(&self, hash: TokenHash, by: By) -> Result<(), Refusal> {
        let mut writer = self.writer()?;
        // The owner stays the same owner: what was sent with a former token and with this one has one sender.
        let id = self.contents().owner().map_or_else(Uuid::new_v4, |owner| owner.id);
        let token = Token {
            id,
            name: "owner".to_owned(),
            hash,
            instance_role: InstanceRole::Owner,
            site_roles: Vec::new(),
            created_at: by.at,
            revoked_at: None,
        };
        self.commit(&mut writer, Change::OwnerSet { token }, by)
    }

    fn writer(&self) -> Result<MutexGuard<'_, Writer>, Refusal> {
        // A panic inside a change leaves open what reached the disk: as final as a failed sync.
        let writer = self.writer.lock().map_err(|_| Refusal::Failed)?;
        if writer.failed { Err(Refusal::Failed) } else { Ok(writer) }
    }

    /// Makes a change durable, then shows it to readers.
    fn commit(&self, writer: &mut Writer, change: Change, by: By) -> Result<(), Refusal> {
        let entry = Entry { at: by.at, by: by.token, change };
        let payload = serde_json::to_vec(&entry).expect("a change has only string keys");
        match writer.journal.append(&payload) {
            Ok(()) => {}
            Err(format::Error::Full { .. } | format::Error::TooLarge { .. }) => return Err(Refusal::DiskFull),
            Err(error) => {
                self.fail(writer, &error);
                return Err(Refusal::Failed);
            }
        }
        let mut contents = Contents::clone(&self.contents());
        contents.apply(entry.change);
        *self.contents.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(contents);
        // This change is made whatever comes of it.
        match writer.journal.tidy() {
            Ok(()) | Err(format::Error::Full { .. }) => {}
            Err(error) if error.is_out_of_descriptors() => {}
            Err(error) => self.fail(writer, &error),
        }
        Ok(())
    }

    /// Takes no more changes.
    fn fail(&self, writer: &mut Writer, error: &format::Error) {
        writer.failed = true;
        tracing::error!(error = error as &dyn std::error::Error, "the catalog cannot be written");
        self.health.fail("the catalog cannot be written".to_owned());
    }
}

fn unused(contents: &Contents, id: Uuid) -> Result<Uuid, Refusal> {
    if contents.knows(id) { Err(Refusal::IdTaken) } else { Ok(id) }
}

fn ensure_hosts_free(contents: &Contents, site: &Site) -> Result<(), Refusal> {
    let leads_elsewhere = |host: &String| contents.site_by_host(host).is_some_and(|other| other.id != site.id);
    if hosts(site).any(leads_elsewhere) { Err(Refusal::HostTaken) } else { Ok(()) }
}
