//! The event ids that segments hold.

use std::collections::HashSet;
use std::sync::Arc;

use format::{Segment, SegmentId, Sequence, SiteId};

use super::exchange::Exchange;

/// All live segments, to be asked for ids.
pub(super) struct SealedIds {
    /// The newest last: a repeat is mostly one of something recent.
    segments: Vec<Arc<Segment>>,
    /// Those whose ids cannot be read, which was said.
    unreadable: HashSet<SegmentId>,
}

impl From<Vec<Arc<Segment>>> for SealedIds {
    fn from(segments: Vec<Arc<Segment>>) -> SealedIds {
        SealedIds { segments, unreadable: HashSet::new() }
    }
}

impl SealedIds {
    /// Puts segments in the place of others.
    pub(super) fn exchange(&mut self, exchange: &Exchange) {
        self.segments.retain(|segment| !exchange.segments.contains(&segment.header().id));
        self.segments.extend(exchange.added.iter().map(|sealed| Arc::clone(&sealed.segment)));
    }

    /// The sequence of the first row with this id.
    pub(super) fn first(&mut self, site: SiteId, id: &str) -> Option<Sequence> {
        let SealedIds { segments, unreadable } = self;
        segments.iter().rev().find_map(|segment| match segment.find_event_id(site, id) {
            Ok(found) => found.map(|(_, sequence)| sequence),
            Err(error) => {
                // As with a damaged log: what it held is not known any more. To refuse would refuse all events with ids, for ever.
                if unreadable.insert(segment.header().id) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "event ids of a segment cannot be read: repeats of them are stored"
                    );
                }
                None
            }
        })
    }
}
