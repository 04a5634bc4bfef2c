//! Which call fails, and how.

use std::io;

/// A kind of call of the two traits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Op {
    CreateDir,
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncDir,
    Len,
    Read,
    Write,
    SetLen,
    SyncData,
    Map,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// EIO. A write may have copied some bytes, a sync may have made some of them durable.
    Io,
    /// ENOSPC, otherwise as [`FaultKind::Io`].
    Full,
    /// EMFILE, otherwise as [`FaultKind::Io`].
    Descriptors,
    /// Half of a read or write is done and said to be done; other calls are spared.
    Short,
    /// The power fails during the call: it may have had its effect, which like all that was not synced is for [`super::MemFs::crash`] to
    /// decide; this call and, whatever [`Fault::forever`] says, all later ones answer EIO.
    PowerCut,
}

/// Calls that shall fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is counted and fails; none: every call.
    pub op: Option<Op>,
    /// Which of them is the first to fail: 0 is the next one.
    pub nth: u64,
    /// Whether all of them fail from then on.
    pub forever: bool,
    /// How.
    pub kind: FaultKind,
}

/// What is to become of a call.
pub(super) enum Verdict {
    Go,
    Short,
    Fail(io::Error),
    Cut { first: bool },
}

pub(super) fn io_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}

pub(super) fn full_error() -> io::Error {
    io::Error::from_raw_os_error(28)
}

/// The counts of calls, and the fault that is set.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    counts: [u64; Op::Map as usize + 1],
    fault: Option<Fault>,
    /// Calls that the fault has counted.
    seen: u64,
    power_is_off: bool,
}

impl Faults {
    pub(super) fn set(&mut self, fault: Fault) {
        self.fault = Some(fault);
        self.seen = 0;
    }

    pub(super) fn clear(&mut self) {
        self.fault = None;
        self.power_is_off = false;
    }

    pub(super) fn calls(&self, op: Option<Op>) -> u64 {
        match op {
            Some(op) => self.counts[op as usize],
            None => self.counts.iter().sum(),
        }
    }

    pub(super) fn verdict(&mut self, op: Op) -> Verdict {
        self.counts[op as usize] += 1;
        if self.power_is_off {
            return Verdict::Cut { first: false };
        }
        let Some(fault) = self.fault.filter(|fault| fault.op.is_none_or(|wanted| wanted == op)) else { return Verdict::Go };
        let turn = self.seen;
        self.seen += 1;
        if turn < fault.nth || (turn > fault.nth && !fault.forever) {
            return Verdict::Go;
        }
        match fault.kind {
            FaultKind::Io => Verdict::Fail(io_error()),
            FaultKind::Full => Verdict::Fail(full_error()),
            FaultKind::Descriptors => Verdict::Fail(io::Error::from_raw_os_error(24)),
            FaultKind::Short => Verdict::Short,
            FaultKind::PowerCut => {
                self.power_is_off = true;
                Verdict::Cut { first: true }
            }
        }
    }
}

/// Numbers that look random and follow from a seed: SplitMix64.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of numbers of this seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `n`, or 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.roll().checked_rem(n).unwrap_or(0)
    }
}
