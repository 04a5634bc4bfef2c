//! The checksum of frames and headers: CRC-32, salted per file and bound to an offset.
//!
//! The salt keeps a stale frame of another file from passing; the offset keeps a frame of the same file from passing at another place.

/// CRC-32/ISO-HDLC (polynomial 0x04c11db7, reflected, initial value and final XOR all ones), as `crc32fast` computes it.
///
/// Source: ITU-T V.42, section 8.1.1.6.2; the check value for the nine digits "123456789".
pub const CHECK_VALUE: u32 = 0xcbf4_3926;

/// Random bytes of one file, from its header: the seed of every checksum in it.
pub type Salt = [u8; 16];

/// Computes the checksums of one file.
#[derive(Clone, Debug)]
pub struct FileChecksum {
    salt: Salt,
    salted: crc32fast::Hasher,
}

impl FileChecksum {
    /// Checksums of the file with this salt.
    pub fn new(salt: Salt) -> FileChecksum {
        let mut salted = crc32fast::Hasher::new();
        salted.update(&salt);
        FileChecksum { salt, salted }
    }

    /// The salt itself, which commit and proof frames repeat in full.
    pub fn salt(&self) -> &Salt {
        &self.salt
    }

    /// The checksum of `parts`, in order, standing at `offset` of the file.
    pub fn at(&self, offset: u64, parts: [&[u8]; 2]) -> u32 {
        let mut hasher = self.salted.clone();
        hasher.update(&offset.to_le_bytes());
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }
}

/// The plain checksum, for headers: they carry the salt themselves.
pub fn plain(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polynomial_is_the_one_the_format_names() {
        assert_eq!(plain(b"123456789"), CHECK_VALUE);
    }

    #[test]
    fn salt_and_offset_come_before_the_bytes() {
        let salt = *b"0123456789abcdef";
        let mut all = salt.to_vec();
        all.extend_from_slice(&77u64.to_le_bytes());
        all.extend_from_slice(b"headpayload");
        assert_eq!(FileChecksum::new(salt).at(77, [b"head", b"payload"]), plain(&all));
    }
}
