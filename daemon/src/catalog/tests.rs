//! The catalog against a model so plain that it needs no test of its own, and what a disk that fails does to it.

#![allow(clippy::unwrap_used)]

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use proptest::prelude::*;

use super::records::Where;
use super::*;
use crate::instant;

const FINE: u8 = 0;
const FULL: u8 = 1;
const BROKEN: u8 = 2;
/// Changes are appended, and the file cannot be written anew.
const UNTIDY: u8 = 3;

/// A list of changes in memory, whose disk can be full or broken.
#[derive(Clone, Default)]
struct List {
    changes: Arc<Mutex<Vec<Vec<u8>>>>,
    disk: Arc<AtomicU8>,
}

impl Journal for List {
    fn append(&mut self, payload: &[u8]) -> Result<(), format::Error> {
        let path = PathBuf::from("catalog.log");
        match self.disk.load(Ordering::Relaxed) {
            FULL => Err(format::Error::Full { path, source: io::ErrorKind::StorageFull.into() }),
            BROKEN => Err(format::Error::Io { operation: "sync", path, source: io::Error::other("broken") }),
            _ => {
                self.changes.lock().unwrap().push(payload.to_vec());
                Ok(())
            }
        }
    }

    fn tidy(&mut self) -> Result<(), format::Error> {
        match self.disk.load(Ordering::Relaxed) {
            UNTIDY => {
                Err(format::Error::Io { operation: "rename", path: PathBuf::from("catalog.log"), source: io::Error::other("broken") })
            }
            _ => Ok(()),
        }
    }
}

fn open(list: &List) -> Catalog {
    let changes = list.changes.lock().unwrap().clone();
    Catalog::open(changes.iter().map(Vec::as_slice), Box::new(list.clone()), Arc::default()).unwrap()
}

const BY: By = By { token: None, at: UnixMicros::EPOCH };

fn site(catalog: &Catalog, domain: &str) -> Result<Arc<Site>, Refusal> {
    catalog.create_site(None, domain.to_owned(), Vec::new(), "UTC".to_owned(), 0, BY)
}

fn draft(name: &str, value: &str) -> GoalDraft {
    let conditions = vec![Where { key: "plan".to_owned(), value: value.to_owned() }; value.len() % 2];
    GoalDraft::new(name, "event", value, conditions).unwrap()
}

/// What a catalog is asked to do. Sites and goals are chosen by their place in the model, hosts from a pool of six.
#[derive(Clone, Debug)]
enum Op {
    CreateSite { domain: u8, hostname: Option<u8> },
    ChangeSite { site: usize, domain: Option<u8>, hostname: Option<u8> },
    RemoveSite { site: usize },
    CreateGoal { site: usize, value: u8 },
    ChangeGoal { goal: usize, value: u8 },
    RemoveGoal { goal: usize },
    SetOwner { token: u8 },
    Disk { full: bool },
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let host = 0..6_u8;
    let place = 0..4_usize;
    prop_oneof![
        4 => (host.clone(), proptest::option::of(host.clone())).prop_map(|(domain, hostname)| Op::CreateSite { domain, hostname }),
        2 => (place.clone(), proptest::option::of(host.clone()), proptest::option::of(host.clone()))
            .prop_map(|(site, domain, hostname)| Op::ChangeSite { site, domain, hostname }),
        1 => place.clone().prop_map(|site| Op::RemoveSite { site }),
        4 => (place.clone(), host.clone()).prop_map(|(site, value)| Op::CreateGoal { site, value }),
        2 => (place.clone(), host.clone()).prop_map(|(goal, value)| Op::ChangeGoal { goal, value }),
        1 => place.prop_map(|goal| Op::RemoveGoal { goal }),
        1 => host.prop_map(|token| Op::SetOwner { token }),
        1 => any::<bool>().prop_map(|full| Op::Disk { full }),
        1 => Just(Op::Reopen),
    ]
}

fn host(number: u8) -> String {
    format!("h{number}.example")
}

/// The reference: two lists that are searched from end to end.
#[derive(Default)]
struct Model {
    sites: Vec<Site>,
    goals: Vec<Goal>,
    owner: Option<String>,
    full: bool,
}

impl Model {
    fn leads_elsewhere(&self, site: &Site) -> bool {
        let taken = |host: &String| self.sites.iter().any(|other| other.id != site.id && hosts(other).any(|h| h == host));
        hosts(site).any(taken)
    }

    fn agrees_with(&self, catalog: &Catalog) {
        let contents = catalog.contents();
        let sites: Vec<Site> = contents.sites().map(|site| Site::clone(site)).collect();
        assert_eq!(sites, self.sites.iter().rev().cloned().collect::<Vec<_>>());
        for number in 0..6 {
            let host = host(number);
            let expected = self.sites.iter().find(|site| hosts(site).any(|h| *h == host));
            assert_eq!(contents.site_by_host(&format!(" WWW.{host}")).map(|site| &**site), expected);
            assert_eq!(catalog.token(&host).is_some(), self.owner.as_ref() == Some(&host));
        }
        for site in &self.sites {
            let goals: Vec<Goal> = contents.goals(site.id).map(|goal| Goal::clone(goal)).collect();
            let expected: Vec<Goal> = self.goals.iter().rev().filter(|goal| goal.site_id == site.id).cloned().collect();
            assert_eq!(goals, expected);
        }
    }

    fn step(&mut self, catalog: &mut Catalog, list: &List, op: Op) {
        match op {
            Op::CreateSite { domain, hostname } => {
                let hostnames: Vec<String> = hostname.filter(|h| *h != domain).map(host).into_iter().collect();
                let made = catalog.create_site(None, host(domain), hostnames.clone(), "UTC".to_owned(), 0, BY);
                let id = made.as_ref().map_or(SiteId::new([0; 16]), |site| site.id);
                let wanted =
                    Site { id, domain: host(domain), hostnames, time_zone: "UTC".to_owned(), data_retention_days: 0, created_at: BY.at };
                let free = !self.leads_elsewhere(&wanted);
                assert_eq!(made.is_ok(), free && !self.full);
                if made.is_ok() {
                    self.sites.push(wanted);
                }
            }
            Op::ChangeSite { site, domain, hostname } => {
                let Some(former) = self.sites.get(site).cloned() else { return };
                let patch = SitePatch { domain: domain.map(host), hostnames: hostname.map(|h| vec![host(h)]), ..SitePatch::default() };
                let mut wanted = former.clone();
                wanted.domain = domain.map_or(wanted.domain, host);
                wanted.hostnames = hostname.map_or(wanted.hostnames, |h| vec![host(h)]);
                wanted.hostnames.retain(|name| *name != wanted.domain);
                let may = wanted == former || (!self.leads_elsewhere(&wanted) && !self.full);
                assert_eq!(catalog.change_site(former.id, patch, BY).is_ok(), may);
                if may {
                    self.sites[site] = wanted;
                }
            }
            Op::RemoveSite { site } => {
                let Some(former) = self.sites.get(site).cloned() else { return };
                assert_eq!(catalog.remove_site(former.id, BY).is_ok(), !self.full);
                if !self.full {
                    self.sites.remove(site);
                    self.goals.retain(|goal| goal.site_id != former.id);
                    assert!(matches!(
                        catalog.create_site(Some(former.id), "new.example".to_owned(), Vec::new(), "UTC".to_owned(), 0, BY),
                        Err(Refusal::IdTaken)
                    ));
                }
            }
            Op::CreateGoal { site, value } => {
                let Some(site) = self.sites.get(site) else { return };
                match catalog.create_goal(site.id, None, draft("g", &host(value)), BY) {
                    Ok(goal) => self.goals.push(goal),
                    Err(refusal) => assert!(self.full && matches!(refusal, Refusal::DiskFull)),
                }
            }
            Op::ChangeGoal { goal, value } => {
                let Some(former) = self.goals.get_mut(goal) else { return };
                if let Ok(changed) = catalog.change_goal(former.site_id, former.id, draft("g", &host(value)), BY) {
                    *former = changed;
                } else {
                    assert!(self.full && former.value != host(value));
                }
            }
            Op::RemoveGoal { goal } => {
                let Some(former) = self.goals.get(goal).cloned() else { return };
                assert_eq!(catalog.remove_goal(former.site_id, former.id, BY).is_ok(), !self.full);
                if !self.full {
                    self.goals.remove(goal);
                    assert!(matches!(catalog.remove_goal(former.site_id, former.id, BY), Err(Refusal::UnknownGoal)));
                }
            }
            Op::SetOwner { token } => {
                if catalog.set_owner(TokenHash::of(&host(token)), BY).is_ok() {
                    self.owner = Some(host(token));
                } else {
                    assert!(self.full);
                }
            }
            Op::Disk { full } => {
                self.full = full;
                list.disk.store(if full { FULL } else { FINE }, Ordering::Relaxed);
            }
            Op::Reopen => *catalog = open(list),
        }
    }
}

proptest! {
    #[test]
    fn the_catalog_equals_a_model_after_every_change_and_every_start(ops in proptest::collection::vec(op(), 0..48)) {
        let list = List::default();
        let mut catalog = open(&list);
        let mut model = Model::default();
        for op in ops {
            model.step(&mut catalog, &list, op);
            model.agrees_with(&catalog);
        }
        model.agrees_with(&open(&list));
    }
}

#[test]
fn a_change_that_was_not_synced_is_not_seen_and_none_follows() {
    let list = List::default();
    let health = Arc::new(Health::default());
    let catalog = Catalog::open([], Box::new(list.clone()), Arc::clone(&health)).unwrap();
    health.serve();
    list.disk.store(BROKEN, Ordering::Relaxed);
    assert!(matches!(site(&catalog, "shop.example"), Err(Refusal::Failed)));
    assert!(catalog.site_by_host("shop.example").is_none());
    assert!(!health.ready() && health.failure().is_some());
    list.disk.store(FINE, Ordering::Relaxed);
    assert!(matches!(site(&catalog, "shop.example"), Err(Refusal::Failed)));
    assert!(list.changes.lock().unwrap().is_empty());
}

#[test]
fn a_change_after_which_the_file_cannot_be_written_anew_is_made_and_none_follows() {
    let list = List::default();
    let health = Arc::new(Health::default());
    let catalog = Catalog::open([], Box::new(list.clone()), Arc::clone(&health)).unwrap();
    health.serve();
    list.disk.store(UNTIDY, Ordering::Relaxed);
    site(&catalog, "shop.example").unwrap();
    assert!(catalog.site_by_host("shop.example").is_some());
    assert!(!health.ready() && health.failure().is_some());
    assert!(matches!(site(&catalog, "other.example"), Err(Refusal::Failed)));
    assert_eq!(list.changes.lock().unwrap().len(), 1);
}

#[test]
fn a_full_disk_refuses_a_change_and_takes_it_later() {
    let list = List::default();
    let catalog = open(&list);
    list.disk.store(FULL, Ordering::Relaxed);
    assert!(matches!(site(&catalog, "shop.example"), Err(Refusal::DiskFull)));
    list.disk.store(FINE, Ordering::Relaxed);
    assert!(site(&catalog, "shop.example").is_ok());
}

#[test]
fn a_revoked_and_an_unknown_token_are_both_none() {
    let list = List::default();
    let catalog = open(&list);
    catalog.set_owner(TokenHash::of("first"), BY).unwrap();
    let first = catalog.token("first").unwrap();
    catalog.set_owner(TokenHash::of("second"), BY).unwrap();
    assert!(catalog.token("first").is_none());
    assert!(catalog.token("third").is_none());
    assert_eq!(catalog.token("second").unwrap().id, first.id, "the owner stays the same owner");
}

/// The bytes that shipped: a catalog of the first version is read for ever.
#[test]
fn a_change_is_this_json() {
    let at = instant::parse("2026-03-01T09:00:00.123456Z").unwrap().floor();
    let list = List::default();
    let catalog = open(&list);
    let by = By { token: Some(Uuid::from_bytes([0x22; 16])), at };
    let id = SiteId::new([0x11; 16]);
    catalog.create_site(Some(id), "shop.example".to_owned(), vec!["app.example".to_owned()], "Europe/Berlin".to_owned(), 0, by).unwrap();
    catalog.create_goal(id, Some(Uuid::from_bytes([0x33; 16])), draft("Sign-up", "signup"), by).unwrap();
    let changes = list.changes.lock().unwrap().clone();
    let text: Vec<&str> = changes.iter().map(|change| std::str::from_utf8(change).unwrap()).collect();
    assert_eq!(
        text,
        [
            "{\"at\":\"2026-03-01T09:00:00.123456Z\",\"by\":\"22222222-2222-2222-2222-222222222222\",\"change\":\"site_set\",\
             \"site\":{\"id\":\"11111111-1111-1111-1111-111111111111\",\"domain\":\"shop.example\",\"hostnames\":[\"app.example\"],\
             \"time_zone\":\"Europe/Berlin\",\"data_retention_days\":0,\"created_at\":\"2026-03-01T09:00:00.123456Z\"}}",
            "{\"at\":\"2026-03-01T09:00:00.123456Z\",\"by\":\"22222222-2222-2222-2222-222222222222\",\"change\":\"goal_set\",\
             \"goal\":{\"id\":\"33333333-3333-3333-3333-333333333333\",\"site_id\":\"11111111-1111-1111-1111-111111111111\",\
             \"name\":\"Sign-up\",\"type\":\"event\",\"value\":\"signup\",\"created_at\":\"2026-03-01T09:00:00.123456Z\"}}",
        ]
    );
    let newer = String::from_utf8(changes[0].clone()).unwrap().replace("\"domain\"", "\"colour\":\"red\",\"domain\"");
    let catalog = Catalog::open([newer.as_bytes()], Box::new(list), Arc::default()).unwrap();
    assert!(catalog.site(id).is_some(), "a field that a later version adds is no error");
}

#[test]
fn a_change_that_cannot_be_understood_stops_the_start() {
    let list = List::default();
    let Err(OpenError::Undecodable { number, .. }) = Catalog::open([&b"{\"change\":\"x\"}"[..]], Box::new(list), Arc::default()) else {
        panic!("a token may be in it");
    };
    assert_eq!(number, 1);
}
