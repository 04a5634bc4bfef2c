//! Pages of a mapping that cannot be read: a bad sector, or a file that something else cut short.
//!
//! Touching such a page is the signal SIGBUS, whose default ends the process. Here it costs one mapping: everything from the page
//! to the end of the mapping is replaced by pages of zeros, and the mapping is *poisoned*. Whoever reads a mapping asks
//! [`Watch::is_poisoned`] after reading and before using what was read.
//!
//! Invariants:
//!
//! * A range is in the table from after its mapping was made until before it is unmapped. A thread that faults in a mapping borrows
//!   it, so the entry that it looks for stays while it looks.
//! * A mapping is poisoned before its pages are replaced: who reads a zero that is not the file's also sees the poison.
//! * The action takes no lock, allocates nothing, and leaves `errno` alone. Its work does not grow with the number of bad pages: the
//!   whole tail goes at once, because a mapping for each page would meet the system's limit on mappings, 65,530.
//! * A SIGBUS that belongs to no entry ends the process, as it would have without all this.
//!
//! std's own handler for SIGBUS, which looks for overflown stacks, must not run before the action: for an address it does not know
//! it resets the signal to its default, and the *second* bad page would end the process. So the signal is set to its default before
//! signal-hook remembers what was there. Linux reports an overflown stack as SIGSEGV, which stays std's.

#![allow(unsafe_code)]

use std::io;
// Statics, which loom's atomics cannot be; no model runs through a signal.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use rustix::mm::{MapFlags, ProtFlags};
use rustix::param::page_size;

/// How many mappings are watched at one time: segments and logs are some dozens.
const ENTRIES: usize = 4096;

/// The unit of a range in the table. Every page size is a multiple of it.
const UNIT_BYTES: usize = 4096;

/// The lower bits of a packed range are its length: 1 TiB at most.
const LEN_BITS: u32 = 28;

/// The upper bits are its start: 48 bits of address, all that Linux gives out to who does not ask for more.
const START_BITS: u32 = 64 - LEN_BITS;

static TABLE: Table<ENTRIES> = Table::new();

/// Ranges of memory by the signal's action, searched from the first to the last.
struct Table<const N: usize> {
    entries: [Entry; N],
}

struct Entry {
    /// 0: free. One word, so that the action never sees the start of one range with the length of another.
    range: AtomicU64,
    poisoned: AtomicBool,
}

/// A range of memory in the table, until it is dropped: before the range is unmapped.
pub(crate) struct Watch(&'static Entry);

impl Watch {
    /// Notes the mapping of `len` bytes at `start`; none if the table is full or has no room for such a range.
    ///
    /// # Errors
    ///
    /// What the operating system says to a handler for SIGBUS.
    pub(crate) fn new(start: *const u8, len: usize) -> io::Result<Option<Watch>> {
        ensure_action()?;
        Ok(TABLE.claim(start.addr(), len))
    }

    /// Whether a page of the range could not be read: bytes that were read before this call may be zeros that the file does not hold.
    pub(crate) fn is_poisoned(&self) -> bool {
        // Keeps the reads before this call before the load. Partner: the store in `Table::blank`.
        fence(Ordering::Acquire);
        self.0.poisoned.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.poisoned.store(false, Ordering::Relaxed);
        // Whoever claims the entry next finds it clean. Partner: the exchange in `Table::claim`.
        self.0.range.store(0, Ordering::Release);
    }
}

impl<const N: usize> Table<N> {
    const fn new() -> Table<N> {
        Table { entries: [const { Entry { range: AtomicU64::new(0), poisoned: AtomicBool::new(false) } }; N] }
    }

    fn claim(&'static self, start: usize, len: usize) -> Option<Watch> {
        let range = pack(start, len)?;
        let free = |entry: &&Entry| entry.range.compare_exchange(0, range, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        self.entries.iter().find(free).map(Watch)
    }

    /// Replaces what stands from the page of `address` to the end of its range; whether `address` can be read now.
    fn blank(&self, address: usize) -> bool {
        for entry in &self.entries {
            let (start, end) = unpack(entry.range.load(Ordering::Relaxed));
            if address < start || address >= end {
                continue;
            }
            // Before the pages are replaced, which is a system call. Partner: the fence in `Watch::is_poisoned`.
            entry.poisoned.store(true, Ordering::SeqCst);
            let page = address - address % page_size();
            // SAFETY: the pages from `page` to `end` are the rest of a read-only mapping that nobody else uses: an entry's range was
            // a mapping's when it was noted, and the thread that touched `address` in it borrows that mapping, so it has not been
            // unmapped. Slices of it stay readable all along. Their bytes change under them, as they could have with the file;
            // `is_poisoned` tells their owners.
            let blank = unsafe {
                rustix::mm::mmap_anonymous(
                    std::ptr::with_exposed_provenance_mut(page),
                    end - page,
                    ProtFlags::READ,
                    MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE,
                )
            };
            return blank.is_ok();
        }
        false
    }
}

/// A range as one word; none if it is empty or too large.
fn pack(start: usize, len: usize) -> Option<u64> {
    let start = (start / UNIT_BYTES) as u64;
    // Up to the end of the last page: the action replaces whole pages.
    let len = (len.checked_next_multiple_of(page_size())? / UNIT_BYTES) as u64;
    (len > 0 && len < 1 << LEN_BITS && start > 0 && start < 1 << START_BITS).then_some(start << LEN_BITS | len)
}

/// Start and end of a packed range; of 0 an empty one.
fn unpack(range: u64) -> (usize, usize) {
    let start = (range >> LEN_BITS) as usize * UNIT_BYTES;
    let len = (range & ((1 << LEN_BITS) - 1)) as usize * UNIT_BYTES;
    (start, start + len)
}

/// Registers the action, once, before the first mapping is made use of.
fn ensure_action() -> io::Result<()> {
    static REGISTERED: Mutex<bool> = Mutex::new(false);
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*registered {
        reset_to_default()?;
        // SAFETY: the action does only what a signal handler may: loads and stores of atomics, and the calls `mmap`, `signal` and
        // `raise`. It does not panic: its arithmetic is on ranges that `pack` has checked.
        unsafe { signal_hook_registry::register_sigaction(libc::SIGBUS, on_sigbus) }?;
        *registered = true;
    }
    Ok(())
}

/// The action; signal-hook keeps `errno` around it.
fn on_sigbus(info: &libc::siginfo_t) {
    if info.si_code == libc::BUS_MCEERR_AO {
        // Memory broke that nobody is touching just now. Whoever does gets a signal of his own.
        return;
    }
    let is_fault = info.si_code > 0;
    // SAFETY: a SIGBUS from the kernel carries the address that was touched; any other is not asked.
    if is_fault && TABLE.blank(unsafe { info.si_addr() }.addr()) {
        return;
    }
    // On return the instruction is tried again, and ends the process with a core dump that shows where.
    let reset = reset_to_default();
    if reset.is_err() || !is_fault {
        // SAFETY: `raise` may be called in a signal handler. The signal comes when the handler has returned.
        unsafe { libc::raise(libc::SIGBUS) };
    }
}

fn reset_to_default() -> io::Result<()> {
    // SAFETY: the default needs no handler to be sound, and `signal` may be called in a signal handler.
    match unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
