//! The columns that every row has.

/// A column whose values are codes of a dictionary of byte strings. Code 0: absent; code `n`: entry `n - 1`.
///
/// Texts stand as UTF-8. [`Field::Source`] is the source's byte, [`Field::Page`] and the four sizes are big-endian numbers of 8 and 4
/// bytes, so that entries sort as numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Field {
    /// By which way the event came: one byte.
    Source = 0,
    /// The token's 16 bytes.
    Token,
    /// The page's hash: 8 bytes.
    Page,
    /// Host.
    Host,
    /// Path.
    Path,
    /// Query.
    Query,
    /// Referrer.
    Referrer,
    /// User agent.
    UserAgent,
    /// Language.
    Language,
    /// 4 bytes.
    ViewportWidth,
    /// 4 bytes.
    ViewportHeight,
    /// 4 bytes.
    ScreenWidth,
    /// 4 bytes.
    ScreenHeight,
    /// `utm_source`.
    UtmSource,
    /// `utm_medium`.
    UtmMedium,
    /// `utm_campaign`.
    UtmCampaign,
    /// `utm_term`.
    UtmTerm,
    /// `utm_content`.
    UtmContent,
    /// 16 bytes.
    Qr,
    /// Two letters.
    Country,
    /// What the tracker calls itself.
    TrackerSource,
    /// The tracker's version.
    TrackerVersion,
    /// The properties without the values that have columns of their own: opaque here. Absent: no properties.
    Shape,
}

impl Field {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Field::Source => "source",
            Field::Token => "token",
            Field::Page => "page",
            Field::Host => "host",
            Field::Path => "path",
            Field::Query => "query",
            Field::Referrer => "referrer",
            Field::UserAgent => "user agent",
            Field::Language => "language",
            Field::ViewportWidth => "viewport width",
            Field::ViewportHeight => "viewport height",
            Field::ScreenWidth => "screen width",
            Field::ScreenHeight => "screen height",
            Field::UtmSource => "utm source",
            Field::UtmMedium => "utm medium",
            Field::UtmCampaign => "utm campaign",
            Field::UtmTerm => "utm term",
            Field::UtmContent => "utm content",
            Field::Qr => "QR id",
            Field::Country => "country",
            Field::TrackerSource => "tracker source",
            Field::TrackerVersion => "tracker version",
            Field::Shape => "shape",
        }
    }

    /// All of them, in the order of their numbers.
    pub const ALL: [Field; 23] = [
        Field::Source,
        Field::Token,
        Field::Page,
        Field::Host,
        Field::Path,
        Field::Query,
        Field::Referrer,
        Field::UserAgent,
        Field::Language,
        Field::ViewportWidth,
        Field::ViewportHeight,
        Field::ScreenWidth,
        Field::ScreenHeight,
        Field::UtmSource,
        Field::UtmMedium,
        Field::UtmCampaign,
        Field::UtmTerm,
        Field::UtmContent,
        Field::Qr,
        Field::Country,
        Field::TrackerSource,
        Field::TrackerVersion,
        Field::Shape,
    ];

    /// Whether it is one of those that seldom change within a session.
    pub const fn is_of_session(self) -> bool {
        matches!(
            self,
            Field::Host
                | Field::UserAgent
                | Field::Language
                | Field::ViewportWidth
                | Field::ViewportHeight
                | Field::ScreenWidth
                | Field::ScreenHeight
                | Field::Country
                | Field::TrackerSource
                | Field::TrackerVersion
        )
    }
}

/// The codes of a row, by [`Field`] number.
pub type Codes = [u32; Field::ALL.len()];
