//! Compression of blocks: zstd, level 3, without checksums of its own.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

/// Beyond this, blocks of this size gain less than a percent and take twice the time.
const LEVEL: i32 = 3;

/// Compresses block after block.
pub(super) struct Packer(Compressor<'static>);

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl Packer {
    pub(super) fn new() -> Packer {
        let mut compressor = Compressor::new(LEVEL).expect("level 3 is one of zstd's");
        // The reader knows the bound; blocks have checksums around them.
        compressor.include_contentsize(false).expect("a frame needs no length");
        compressor.include_checksum(false).expect("a frame needs no checksum");
        Packer(compressor)
    }

    /// Appends `bytes`, compressed.
    pub(super) fn pack(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let packed = self.0.compress(bytes).expect("a block fits into memory");
        out.extend_from_slice(&packed);
    }
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
pub(super) fn unpack(packed: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Option<()> {
    unpacked(packed, max_bytes, |bytes| {
        out.clear();
        out.extend_from_slice(bytes);
        Some(())
    })
}
