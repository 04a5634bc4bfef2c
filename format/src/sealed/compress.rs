//! Compression of blocks: zstd, level 3, without checksums of its own.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{CParameter, Strategy};

/// Beyond this, blocks of this size gain less than a percent and take twice the time.
const LEVEL: i32 = 3;

/// Compresses block after block.
pub(crate) struct Packer {
    any: Compressor<'static>,
    letters: Compressor<'static>,
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl Packer {
    pub(crate) fn new() -> Packer {
        let mut letters = compressor();
        // Hardly looks for repetitions, and for none that are short.
        for parameter in [CParameter::Strategy(Strategy::ZSTD_fast), CParameter::MinMatch(7), CParameter::HashLog(6)] {
            letters.set_parameter(parameter).expect("zstd has this parameter");
        }
        Packer { any: compressor(), letters }
    }

    /// Appends `bytes`, compressed.
    pub(crate) fn pack(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        pack(&mut self.any, bytes, out);
    }

    /// Appends `bytes`, compressed by how often each byte comes: for what has no order, as codes of values or steps between codes.
    ///
    /// Short repetitions that come by chance take more bytes than they spare, and twice the time to read.
    pub(super) fn pack_letters(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        pack(&mut self.letters, bytes, out);
    }
}

fn compressor() -> Compressor<'static> {
    let mut compressor = Compressor::new(LEVEL).expect("level 3 is one of zstd's");
    // The reader knows the bound; blocks have checksums around them.
    compressor.include_contentsize(false).expect("a frame needs no length");
    compressor.include_checksum(false).expect("a frame needs no checksum");
    compressor
}

fn pack(compressor: &mut Compressor<'static>, bytes: &[u8], out: &mut Vec<u8>) {
    let packed = compressor.compress(bytes).expect("a block fits into memory");
    out.extend_from_slice(&packed);
}

thread_local! {
    // 160 KB of tables, which would take longer to make than a block to unpack; and what was unpacked last.
    static UNPACKER: RefCell<(Decompressor<'static>, Vec<u8>)> =
        RefCell::new((Decompressor::new().expect("a decompressor needs nothing but memory"), Vec::new()));
}

/// Calls `read` with what [`Packer::pack`] made `packed` of; nothing if that is more than `max_bytes`, or not made there. `read` unpacks
/// nothing else.
pub(super) fn unpacked<T>(packed: &[u8], max_bytes: usize, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    UNPACKER.with_borrow_mut(|(unpacker, bytes)| {
        bytes.clear();
        bytes.reserve(max_bytes);
        unpacker.decompress_to_buffer(packed, bytes).ok()?;
        if bytes.len() <= max_bytes { read(bytes) } else { None }
    })
}

/// Replaces `out` by what [`Packer::pack`] made `packed` of; nothing if that is more than `max_bytes`, or not made there.
pub(crate) fn unpack(packed: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Option<()> {
    unpacked(packed, max_bytes, |bytes| {
        out.clear();
        out.extend_from_slice(bytes);
        Some(())
    })
}
