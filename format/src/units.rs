//! Numbers with a meaning: positions, identities and instants.
//!
//! Raw integers appear in encoders and decoders and nowhere between. A type offers the arithmetic that means something for it and
//! no blanket operators.

use std::fmt;

/// Commit order of a record: unique, increasing, never reused, not dense. The first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// What the first record of a data directory gets.
    pub const FIRST: Sequence = Sequence(1);

    /// The sequence with this number.
    pub const fn new(value: u64) -> Sequence {
        Sequence(value)
    }

    /// The number, as it stands in files and answers.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The sequence `count` commits later.
    ///
    /// # Panics
    ///
    /// Past 2^64 records, which no disk holds.
    pub fn after(self, count: u64) -> Sequence {
        Sequence(self.0.checked_add(count).expect("fewer than 2^64 records are ever committed"))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a row inside one log or segment: what a bitmap holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ordinal(u32);

impl Ordinal {
    /// The row with this number.
    pub const fn new(value: u32) -> Ordinal {
        Ordinal(value)
    }

    /// The number, as a bitmap holds it.
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// Gives the identity of a kind of file: a number that is also the file's name.
macro_rules! file_id {
    ($(#[$doc:meta])* $name:ident, $suffix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// What the first of a data directory gets.
            pub const FIRST: $name = $name(1);

            /// The identity with this number.
            pub const fn new(value: u64) -> $name {
                $name(value)
            }

            /// The number, as it stands in headers and the manifest.
            pub const fn value(self) -> u64 {
                self.0
            }

            /// The identity that is given out after this one.
            pub fn next(self) -> $name {
                $name(self.0 + 1)
            }

            #[doc = concat!("The file name in its folder: sixteen hexadecimal digits and `", $suffix, "`.")]
            pub fn file_name(self) -> String {
                format!(concat!("{}", $suffix), self)
            }

            /// The identity whose [`file_name`](Self::file_name) is `name`.
            pub fn from_file_name(name: &str) -> Option<$name> {
                let digits = name.strip_suffix($suffix)?;
                let id = u64::from_str_radix(digits, 16).ok().map($name)?;
                (id.file_name() == name).then_some(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }
    };
}

file_id! {
    /// Identity of a log; given out by the manifest, increasing, never reused.
    LogId, ".log"
}
file_id! {
    /// Identity of a segment; given out by the manifest, increasing, never reused.
    SegmentId, ".seg"
}

/// Bytes from the start of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteOffset(u64);

impl ByteOffset {
    /// This many bytes from the start.
    pub const fn new(value: u64) -> ByteOffset {
        ByteOffset(value)
    }

    /// The distance from the start, in bytes.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The offset `bytes` further on.
    pub fn after(self, bytes: u64) -> ByteOffset {
        ByteOffset(self.0 + bytes)
    }
}

impl fmt::Display for ByteOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Microseconds since 1970-01-01T00:00:00Z, leap seconds ignored.
///
/// Invariant: in the years 0 to 9999, checked by every constructor, so bucket arithmetic cannot overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMicros(i64);

impl UnixMicros {
    /// 0000-01-01T00:00:00Z.
    pub const MIN: UnixMicros = UnixMicros(-62_167_219_200_000_000);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: UnixMicros = UnixMicros(253_402_300_799_999_999);
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: UnixMicros = UnixMicros(0);

    /// The instant this many microseconds after 1970, if it lies in the years 0 to 9999.
    pub const fn new(micros: i64) -> Option<UnixMicros> {
        if micros < Self::MIN.0 || micros > Self::MAX.0 { None } else { Some(UnixMicros(micros)) }
    }

    /// Microseconds after 1970; negative before.
    pub const fn micros(self) -> i64 {
        self.0
    }
}

macro_rules! sixteen_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The identity with these bytes.
            pub const fn new(bytes: [u8; 16]) -> $name {
                $name(bytes)
            }

            /// The bytes, in the order a UUID is written.
            pub const fn bytes(self) -> [u8; 16] {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:032x})"), u128::from_be_bytes(self.0))
            }
        }
    };
}

sixteen_bytes! {
    /// The UUID of a site.
    SiteId
}
sixteen_bytes! {
    /// The UUID of a session, as the client gave it.
    SessionId
}
sixteen_bytes! {
    /// The UUID of the token that an event was sent with.
    TokenId
}

/// A keyed hash of a page id: joins vitals to their pageview, and names no visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageHash(u64);

impl PageHash {
    /// The hash with this value.
    pub const fn new(value: u64) -> PageHash {
        PageHash(value)
    }

    /// The 64 bits of the hash.
    pub const fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_id_comes_back_from_its_file_name_only() {
        assert_eq!(LogId::from_file_name(&LogId::new(0xab).file_name()), Some(LogId::new(0xab)));
        for name in ["ab.log", "00000000000000AB.log", "00000000000000ab", "00000000000000ab.log.tmp", "+0000000000000ab.log"] {
            assert_eq!(LogId::from_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn instants_end_with_the_year_9999() {
        assert_eq!(UnixMicros::new(UnixMicros::MAX.micros() + 1), None);
        assert_eq!(UnixMicros::new(UnixMicros::MIN.micros() - 1), None);
        assert_eq!(UnixMicros::new(UnixMicros::MIN.micros()), Some(UnixMicros::MIN));
    }
}
