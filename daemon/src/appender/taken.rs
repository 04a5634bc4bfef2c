//! The requests that were taken from the queue and are not answered yet, with what becomes of their records.
//!
//! Invariants:
//!
//! * Outcomes are those of the records, one after the other, oldest first.
//! * What is *held* comes first: an earlier batch appended it, and no sync has covered it yet.

use format::Sequence;

use super::queue::{Queue, Request};
use super::submission::{Outcome, Submission};

#[derive(Default)]
pub(super) struct Taken {
    requests: Vec<Request>,
    outcomes: Vec<Outcome>,
    held: Held,
}

/// How many requests and outcomes wait for a sync.
#[derive(Clone, Copy, Default)]
struct Held {
    requests: usize,
    outcomes: usize,
}

impl Taken {
    /// Adds a request.
    pub(super) fn push(&mut self, request: Request) {
        self.requests.push(request);
    }

    /// What is not held, and where its outcomes go.
    pub(super) fn batch(&mut self) -> (impl Iterator<Item = &Submission> + Clone, &mut Vec<Outcome>) {
        (self.requests[self.held.requests..].iter().map(|request| &request.submission), &mut self.outcomes)
    }

    /// Holds everything: it was appended.
    pub(super) fn hold(&mut self) {
        self.held = Held { requests: self.requests.len(), outcomes: self.outcomes.len() };
    }

    /// Refuses what is not held: there is no log that it could go into. Without anything held it is to be answered now, else with that.
    #[must_use]
    pub(super) fn refuse(&mut self, refusal: Outcome) -> bool {
        let records: usize = self.requests[self.held.requests..].iter().map(|request| request.submission.len()).sum();
        self.outcomes.extend(std::iter::repeat_n(refusal, records));
        let is_alone = self.held.requests == 0;
        if !is_alone {
            self.hold();
        }
        is_alone
    }

    /// The batch was refused: what was new in it, from `first` on, is not stored, nor is what repeated something new.
    pub(super) fn take_back(&mut self, first: Sequence, refusal: Outcome) {
        for outcome in &mut self.outcomes[self.held.outcomes..] {
            if let Outcome::Stored { sequence, .. } | Outcome::Duplicate { sequence, .. } = *outcome
                && sequence >= first
            {
                *outcome = refusal;
            }
        }
    }

    /// Answers everything with what `tell` makes of its outcome; what has none yet is [`Outcome::Unknown`].
    pub(super) fn answer(&mut self, queue: &Queue, tell: impl Fn(Outcome) -> Outcome) {
        // A batch that failed before its outcomes were found has none; `tell` then makes all of them unknown.
        let records: usize = self.requests.iter().map(|request| request.submission.len()).sum();
        self.outcomes.resize(records, Outcome::Unknown);
        for outcome in &mut self.outcomes {
            *outcome = tell(*outcome);
        }
        queue.done(self.requests.iter().map(|request| &request.submission));
        let mut outcomes = self.outcomes.as_slice();
        for request in self.requests.drain(..) {
            let (these, rest) = outcomes.split_at(request.submission.len());
            outcomes = rest;
            request.reply.send(these);
        }
        self.outcomes.clear();
        self.held = Held::default();
    }
}
