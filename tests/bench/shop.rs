//! Events of a web shop with an assistant, made up: the same ones for the same seed, on every machine.
//!
//! A visit is a walk over pages with about five events. Visits begin in time order, denser by day than by night, and their events
//! come out merged by time, but for one in fifty, which is late: what a store receives is mostly, not wholly, in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write;

/// 2025-01-01T00:00:00Z, the first instant of the year that is filled, in microseconds since 1970.
pub(crate) const YEAR_FROM: i64 = 1_735_689_600_000_000;

/// One past the year's last microsecond.
pub(crate) const YEAR_END: i64 = YEAR_FROM + 365 * DAY;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Events in a visit, on average: what `VISIT_GOES_ON_OF_100` comes to.
const EVENTS_OF_VISIT: u64 = 5;

/// After each event, in how many of a hundred cases the visit has another.
const VISIT_GOES_ON_OF_100: u64 = 80;

const PRODUCTS: u64 = 330;
const CATEGORIES: [&str; 12] =
    ["lamps", "chairs", "tables", "rugs", "beds", "shelves", "desks", "mirrors", "plants", "outdoor", "kitchen", "sale"];
const PAGES: [&str; 14] = [
    "/",
    "/cart",
    "/checkout",
    "/checkout/done",
    "/account",
    "/login",
    "/signup",
    "/help",
    "/help/returns",
    "/help/shipping",
    "/about",
    "/stores",
    "/assistant",
    "/search",
];

/// Names of events with their weights among the events that are no pageviews.
pub(crate) const NAMES: [(&str, u64); 12] = [
    ("product_viewed", 300),
    ("search", 130),
    ("added_to_cart", 120),
    ("assistant_message", 160),
    ("assistant_started", 45),
    ("assistant_resolved", 25),
    ("checkout_started", 55),
    ("purchase", 32),
    ("login", 60),
    ("signup_completed", 20),
    ("newsletter_joined", 13),
    ("video_played", 40),
];

/// One event, borrowed from the generator.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    /// Empty for a pageview.
    pub(crate) name: &'a str,
    /// Microseconds since 1970, whole milliseconds.
    pub(crate) time: i64,
    pub(crate) session: [u8; 16],
    pub(crate) path: &'a str,
    pub(crate) referrer: Option<&'a str>,
    pub(crate) user_agent: &'a str,
    pub(crate) utm_source: Option<&'a str>,
    /// JSON, or empty.
    pub(crate) properties: &'a str,
}

/// A visit that has not ended.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Visit {
    /// Of its next event. First, for it is what visits are ordered by.
    next: i64,
    /// Keeps the order of visits with one time.
    number: u64,
    session: [u8; 16],
    user_agent: usize,
    source: usize,
    product: u64,
    is_first: bool,
}

/// Makes events up.
pub(crate) struct Shop {
    random: Random,
    left: u64,
    begins: i64,
    between_visits: u64,
    visits: BinaryHeap<Reverse<Visit>>,
    begun: u64,
    is_over: bool,
    user_agents: Vec<String>,
    path: String,
    properties: String,
}

const SOURCES: [(Option<&str>, Option<&str>); 6] = [
    (None, None),
    (None, Some("https://www.google.com/")),
    (Some("newsletter"), None),
    (Some("google_ads"), Some("https://www.google.com/")),
    (None, Some("https://duckduckgo.com/")),
    (Some("instagram"), Some("https://l.instagram.com/")),
];

impl Shop {
    /// `events` of them over the year.
    pub(crate) fn new(seed: u64, events: u64) -> Shop {
        // A fiftieth more than are needed, so that the events run out before the year does.
        let visits = (events / EVENTS_OF_VISIT * 51 / 50).max(1);
        let user_agents = (0..48).map(user_agent).collect();
        Shop {
            random: Random(seed),
            left: events,
            begins: YEAR_FROM,
            between_visits: (365 * DAY).unsigned_abs() / visits,
            visits: BinaryHeap::new(),
            begun: 0,
            is_over: false,
            user_agents,
            path: String::new(),
            properties: String::new(),
        }
    }

    /// The next event; `None` when all were made.
    pub(crate) fn next(&mut self) -> Option<Event<'_>> {
        self.left = self.left.checked_sub(1)?;
        while self.visits.peek().is_none_or(|Reverse(visit)| self.begins <= visit.next && !self.is_over) {
            self.begin_visit();
        }
        let Reverse(mut visit) = self.visits.pop().expect("one was begun");
        let is_pageview = visit.is_first || self.random.below(100) < 38;
        let name = if is_pageview { "" } else { self.name() };
        self.describe(name, &visit);
        let late = if self.random.below(50) == 0 { self.random.below(3_600) as i64 * SECOND } else { 0 };
        let time = (visit.next - late).clamp(YEAR_FROM, YEAR_END - 1) / 1_000 * 1_000;
        let (utm_source, referrer) = if visit.is_first { SOURCES[visit.source] } else { (None, None) };
        let (session, user_agent) = (visit.session, visit.user_agent);
        if self.random.below(100) < VISIT_GOES_ON_OF_100 {
            visit.next += (1 + self.random.skewed(240)) as i64 * SECOND + self.random.below(1_000_000) as i64;
            visit.is_first = false;
            if self.random.below(3) == 0 {
                visit.product = self.random.skewed(PRODUCTS);
            }
            self.visits.push(Reverse(visit));
        }
        Some(Event {
            name,
            time,
            session,
            path: &self.path,
            referrer,
            user_agent: &self.user_agents[user_agent],
            utm_source,
            properties: &self.properties,
        })
    }

    fn begin_visit(&mut self) {
        let hour = (self.begins - YEAR_FROM) % DAY / (3_600 * SECOND);
        // Three times as many by day as by night, and as many in all: (16 · 9/7 + 8 · 3/7) / 24 = 1.
        let pause = if (7..23).contains(&hour) { self.between_visits * 7 / 9 } else { self.between_visits * 7 / 3 };
        self.begins += self.random.below(2 * pause.max(1)) as i64;
        if self.begins >= YEAR_END {
            // Only where few events leave much to chance: what is still wanted comes late.
            (self.begins, self.is_over) = (YEAR_FROM, true);
        }
        self.begun += 1;
        let mut session = [0; 16];
        session[..8].copy_from_slice(&self.random.next().to_be_bytes());
        session[8..].copy_from_slice(&self.random.next().to_be_bytes());
        session[6] = session[6] & 0x0f | 0x40;
        session[8] = session[8] & 0x3f | 0x80;
        let visit = Visit {
            next: self.begins,
            number: self.begun,
            session,
            user_agent: self.random.skewed(self.user_agents.len() as u64) as usize,
            source: self.random.skewed(SOURCES.len() as u64) as usize,
            product: self.random.skewed(PRODUCTS),
            is_first: true,
        };
        self.visits.push(Reverse(visit));
    }

    fn name(&mut self) -> &'static str {
        let mut at = self.random.below(NAMES.iter().map(|(_, weight)| weight).sum());
        for (name, weight) in NAMES {
            match at.checked_sub(weight) {
                Some(rest) => at = rest,
                None => return name,
            }
        }
        NAMES[0].0
    }

    /// Writes path and properties of the next event.
    fn describe(&mut self, name: &str, visit: &Visit) {
        let Shop { random, path, properties, .. } = self;
        let (product, category) = (visit.product, CATEGORIES[visit.product as usize % CATEGORIES.len()]);
        path.clear();
        properties.clear();
        let written = match name {
            "" | "video_played" => match random.below(10) {
                0..5 => write!(path, "/product/{product}"),
                5..8 => write!(path, "/{category}"),
                _ => write!(path, "{}", PAGES[random.skewed(PAGES.len() as u64) as usize]),
            },
            "product_viewed" | "added_to_cart" => write!(path, "/product/{product}"),
            "search" => write!(path, "/search"),
            "checkout_started" => write!(path, "/checkout"),
            "purchase" => write!(path, "/checkout/done"),
            "login" => write!(path, "/login"),
            "signup_completed" => write!(path, "/signup"),
            _ => write!(path, "/assistant"),
        };
        let pick = |random: &mut Random, of: &[&'static str]| of[random.skewed(of.len() as u64) as usize];
        let written = written.and_then(|()| match name {
            "product_viewed" => {
                write!(properties, r#"{{"sku":"P-{product:04}","category":"{category}","price":{}}}"#, price(product))
            }
            "added_to_cart" => {
                let quantity = 1 + random.skewed(4);
                write!(properties, r#"{{"sku":"P-{product:04}","quantity":{quantity},"price":{}}}"#, price(product))
            }
            "search" => write!(
                properties,
                r#"{{"term":"{category} {}","results":{}}}"#,
                pick(random, &["oak", "white", "small", "black", "cheap"]),
                random.skewed(60)
            ),
            "assistant_message" => write!(
                properties,
                r#"{{"role":"{}","model":"{}","tokens":{},"helpful":{}}}"#,
                pick(random, &["user", "assistant"]),
                pick(random, &["small-2", "large-2", "small-1"]),
                8 * (1 + random.skewed(60)),
                random.below(4) > 0
            ),
            "assistant_started" => {
                write!(properties, r#"{{"topic":"{}"}}"#, pick(random, &["delivery", "returns", "sizes", "payment", "other"]))
            }
            "assistant_resolved" => write!(
                properties,
                r#"{{"topic":"{}","handover":{}}}"#,
                pick(random, &["delivery", "returns", "sizes", "payment", "other"]),
                random.below(5) == 0
            ),
            "checkout_started" => write!(properties, r#"{{"items":{},"currency":"EUR"}}"#, 1 + random.skewed(6)),
            "purchase" => write!(
                properties,
                r#"{{"plan":"{}","amount":{},"currency":"EUR","payment":"{}"}}"#,
                pick(random, &["single", "club", "club_plus"]),
                price(product + random.skewed(40)),
                pick(random, &["card", "paypal", "invoice", "transfer"])
            ),
            "login" | "signup_completed" => {
                write!(properties, r#"{{"method":"{}"}}"#, pick(random, &["password", "google", "apple", "passkey"]))
            }
            "video_played" => write!(properties, r#"{{"seconds":{}}}"#, 5 * random.skewed(40)),
            _ => Ok(()),
        });
        written.expect("a String takes every text");
    }
}

/// The price of a product, with two decimals.
fn price(product: u64) -> String {
    let cents = 499 + product * 7_919 % 40_000 / 50 * 50;
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn user_agent(number: u64) -> String {
    let (version, system) = (
        120 + number / 4,
        ["Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64", "Linux; Android 15; Pixel 8"]
            [number as usize % 4],
    );
    format!("Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36")
}

/// SplitMix64: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Below `end`, each as often; the bias of the remainder does not matter here.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Below `end`, small ones more often: the smallest of two draws.
    fn skewed(&mut self, end: u64) -> u64 {
        self.below(end).min(self.below(end))
    }
}
