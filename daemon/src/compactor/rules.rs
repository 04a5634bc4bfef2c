//! Which rows stay: those of sites that there are, as long as these keep them.

use std::collections::{HashMap, HashSet};

use format::{SiteId, UnixMicros};
use query::Keep;

use crate::catalog::contents::Contents;
use crate::{instant, retention};

/// Rows that have been too old for longer than this leave the disk, however few: thirty days.
const OVERDUE_MICROS: i64 = 30 * 24 * 3_600_000_000;

/// What stays of each site.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// The cutoffs of sites that do not keep for ever.
    cutoffs: HashMap<SiteId, UnixMicros>,
    /// Sites that were removed. Others that the catalog does not know are none of its business.
    removed: HashSet<SiteId>,
}

impl Rules {
    /// Those of the catalog at `now`.
    pub(crate) fn of(contents: &Contents, now: UnixMicros) -> Rules {
        let expiring = contents.sites().filter(|site| site.data_retention_days > 0);
        Rules {
            cutoffs: expiring.map(|site| (site.id, retention::cutoff(site.data_retention_days, now))).collect(),
            removed: contents.removed_sites().collect(),
        }
    }

    /// Rules of a test.
    #[cfg(test)]
    pub(super) fn with(cutoffs: &[(SiteId, UnixMicros)], removed: &[SiteId]) -> Rules {
        Rules { cutoffs: cutoffs.iter().copied().collect(), removed: removed.iter().copied().collect() }
    }

    /// The same, but nothing is too old.
    pub(super) fn of_any_age(self) -> Rules {
        Rules { cutoffs: HashMap::new(), ..self }
    }

    /// The same, as it was thirty days ago: what these leave out has to go. The rows of removed sites do.
    pub(super) fn overdue(&self) -> Rules {
        let earlier = |(site, cutoff): (&SiteId, &UnixMicros)| (*site, instant::later(*cutoff, -OVERDUE_MICROS));
        Rules { cutoffs: self.cutoffs.iter().map(earlier).collect(), removed: self.removed.clone() }
    }

    /// Whether there are sites that do not keep for ever.
    pub(super) fn let_expire(&self) -> bool {
        !self.cutoffs.is_empty()
    }

    /// Whether all rows of all sites stay.
    pub(super) fn keep_all(&self) -> bool {
        self.cutoffs.is_empty() && self.removed.is_empty()
    }

    /// What stays of a site.
    pub(super) fn keep(&self, site: SiteId) -> Keep {
        match self.cutoffs.get(&site) {
            _ if self.removed.contains(&site) => Keep::Nothing,
            Some(cutoff) => Keep::Since(*cutoff),
            None => Keep::All,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DAY: i64 = 24 * 3_600_000_000;

    fn at(days: i64) -> UnixMicros {
        UnixMicros::new(days * DAY).unwrap()
    }

    #[test]
    fn a_site_that_nothing_is_said_of_keeps_all() {
        let [expiring, removed, other] = [1, 2, 3].map(|id| SiteId::new([id; 16]));
        let rules = Rules::with(&[(expiring, at(100)), (removed, at(100))], &[removed]);
        assert_eq!([expiring, removed, other].map(|site| rules.keep(site)), [Keep::Since(at(100)), Keep::Nothing, Keep::All]);
        let overdue = rules.overdue();
        assert_eq!([expiring, removed, other].map(|site| overdue.keep(site)), [Keep::Since(at(70)), Keep::Nothing, Keep::All]);
        assert!(!rules.keep_all() && Rules::default().keep_all());
        let of_any_age = rules.of_any_age();
        assert_eq!([expiring, removed, other].map(|site| of_any_age.keep(site)), [Keep::All, Keep::Nothing, Keep::All]);
    }
}
