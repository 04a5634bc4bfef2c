//! TERM and INT: the first one drains, a second one ends at once. USR1 seals what is stored.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use tokio::sync::{Notify, oneshot};

/// What the signals ask for.
pub(crate) struct Watch {
    /// Told of the first TERM or INT.
    pub(crate) stop: oneshot::Receiver<()>,
    /// Told of every USR1, several of which may count as one.
    pub(crate) seal: Arc<Notify>,
}

/// Watches for the signals from here on.
///
/// Nothing acknowledged is lost by the second one: whatever was answered is on the disk.
///
/// # Errors
///
/// If the system refuses a handler or a thread.
pub(crate) fn watch() -> io::Result<Watch> {
    // A file that may not grow is an error of the write that asks for it, like a full disk, and not the end of the process.
    flag::register(SIGXFSZ, Arc::default())?;
    let again = Arc::<AtomicBool>::default();
    for signal in [SIGTERM, SIGINT] {
        // In this order: the action that ends the process finds the flag set by an earlier signal alone. Shells expect 128 and the
        // signal's number.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
        flag::register(signal, Arc::clone(&again))?;
    }
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGUSR1])?;
    let (tell, stop) = oneshot::channel();
    let seal = Arc::<Notify>::default();
    let watch = Watch { stop, seal: Arc::clone(&seal) };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if signal != SIGUSR1 {
                // Whoever waited is gone only when the process ends.
                let _ = tell.send(());
                return;
            }
            seal.notify_one();
        }
    })?;
    Ok(watch)
}
