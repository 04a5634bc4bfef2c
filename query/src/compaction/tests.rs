//! A model: segments are lists of times, and every merge that is planned is done. Whatever arrives in whatever order, few segments stay,
//! settled ones lie apart, no row is lost, and rows are not rewritten without end.

#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A settled segment has 1,600 rows: all numbers are ten thousand times smaller than in life.
const MEASURES: Compaction = Compaction { settled_rows: 1_600, gather: 8, slack: 6 };
const NEAR: (i64, i64) = (-1_000_000_000, 1_000_000_000);

fn instant(micros: i64) -> UnixMicros {
    UnixMicros::new(micros).unwrap()
}

/// A segment of the model: its times, in order.
#[derive(Clone, Debug)]
struct Modelled {
    level: Level,
    times: Vec<i64>,
}

/// A store.
#[derive(Default)]
struct Store {
    live: Vec<(SegmentId, Modelled)>,
    next: u64,
    arrived: u64,
    /// Rows that merges wrote.
    rewritten: u64,
}

impl Store {
    fn add(&mut self, level: Level, mut times: Vec<i64>) {
        times.sort_unstable();
        self.next += 1;
        self.live.push((SegmentId::new(self.next), Modelled { level, times }));
    }

    fn described(&self) -> Vec<LiveSegment> {
        let describe = |(id, segment): &(SegmentId, Modelled)| {
            let (times, count) = (&segment.times, segment.times.len().min(64));
            let sample = (0..count).map(|place| instant(times[(2 * place + 1) * times.len() / (2 * count)])).collect();
            let ends = (instant(times[0]), instant(*times.last().unwrap()));
            LiveSegment { id: *id, level: segment.level, rows: times.len() as u64, times: ends, sample }
        };
        self.live.iter().map(describe).collect()
    }

    /// Merges until nothing is left to do; after each merge the invariants hold.
    fn compact(&mut self, is_idle: bool) {
        let near = instant(NEAR.0)..instant(NEAR.1);
        let mut merges = 0;
        while let Some(merge) = MEASURES.next(&self.described(), near.clone(), is_idle) {
            merges += 1;
            assert!(merges < 100, "it comes to an end: {merge:?}");
            assert!(merge.division.outputs() <= merge.levels.len());
            let mut outputs = vec![Vec::new(); merge.levels.len()];
            let is_input = |id: &SegmentId| merge.inputs.contains(id);
            assert_eq!(self.live.iter().filter(|(id, _)| is_input(id)).count(), merge.inputs.len(), "inputs are live, and named once");
            for (_, input) in self.live.extract_if(.., |(id, _)| is_input(id)) {
                self.rewritten += input.times.len() as u64;
                input.times.iter().for_each(|time| outputs[merge.division.output_of(instant(*time))].push(*time));
            }
            for (level, times) in merge.levels.iter().zip(outputs).filter(|(_, times)| !times.is_empty()) {
                self.add(*level, times);
            }
            self.check_settled();
        }
        let rows = self.live.iter().map(|(_, segment)| segment.times.len() as u64).sum::<u64>();
        assert_eq!(rows, self.arrived);
        let settled = self.of(Level::Settled).map(|segment| segment.times.len() as u64).sum();
        assert!(self.live.len() <= MEASURES.live_max(settled), "{} segments for {settled} rows", self.live.len());
        assert!(self.live.len() as u64 <= promised(rows), "{} segments for {rows} rows", self.live.len());
    }

    fn of(&self, level: Level) -> impl Iterator<Item = &Modelled> {
        self.live.iter().map(|(_, segment)| segment).filter(move |segment| segment.level == level)
    }

    /// Settled segments lie apart, have no outliers, and are not too large; there is one of outliers.
    fn check_settled(&self) {
        let mut settled: Vec<(i64, i64)> = Vec::new();
        for segment in self.of(Level::Settled) {
            settled.push((segment.times[0], *segment.times.last().unwrap()));
            let is_one_instant = segment.times[0] == *segment.times.last().unwrap();
            // What is known is a sample, so cuts are somewhat beside where they should be.
            assert!(segment.times.len() as u64 <= MEASURES.settled_rows * 5 / 4 || is_one_instant, "{} rows", segment.times.len());
        }
        settled.sort_unstable();
        assert!(settled.windows(2).all(|pair| pair[0].1 < pair[1].0), "settled segments lie apart: {settled:?}");
        assert!(settled.iter().all(|(first, last)| (NEAR.0..NEAR.1).contains(first) && *last < NEAR.1));
        assert!(self.of(Level::Outliers).count() <= 1);
    }
}

/// The most segments there may be: 12 at 5 million rows, 24 at 100 million, one more for each 16 million behind.
fn promised(rows: u64) -> u64 {
    match rows {
        0..500 => 12,
        500..10_000 => 12 + 12 * (rows - 500) / 9_500,
        _ => 24 + (rows - 10_000) / 1_600,
    }
}

/// How rows arrive.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// Each a little later than the one before, as a site reports them.
    Forwards,
    /// As that, but for one in twenty, which is from any time before.
    Late,
    /// History from its end to its beginning.
    Backwards,
    /// Any time of a year.
    Shuffled,
    /// A time of one day of a year, another day for each segment.
    Days,
}

/// Segments of some rows that arrive in some order; how many rows in a thousand are far from now, and after how many segments nothing
/// arrives for a while.
#[derive(Clone, Debug)]
struct Phase {
    order: Order,
    segments: usize,
    rows: usize,
    far: u64,
    idle_after: usize,
}

fn phase() -> impl Strategy<Value = Phase> {
    use Order::*;
    let order = prop::sample::select(vec![Forwards, Late, Backwards, Shuffled, Days]);
    (order, 1..150usize, prop_oneof![1..5usize, 20..40usize, 1..300usize], prop_oneof![Just(0), Just(2), 0..300u64], 1..100usize)
        .prop_map(|(order, segments, rows, far, idle_after)| Phase { order, segments, rows, far, idle_after })
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0 >> 32) * end as u128) >> 32) as i64
    }
}

/// A year has this many instants.
const YEAR: i64 = 10_000_000;

fn arrive(store: &mut Store, phase: &Phase, clock: &mut i64, dice: &mut Dice) {
    for number in 0..phase.segments {
        let day = dice.below(365);
        let mut time = || {
            *clock += 1 + dice.below(20);
            if (dice.below(1_000) as u64) < phase.far {
                return if dice.below(2) == 0 { NEAR.0 - 1 - dice.below(YEAR) } else { NEAR.1 + dice.below(YEAR) };
            }
            match phase.order {
                Order::Forwards => *clock,
                Order::Late if dice.below(20) > 0 => *clock,
                Order::Late => dice.below(*clock),
                Order::Backwards => -*clock,
                Order::Shuffled => dice.below(YEAR),
                Order::Days => day * YEAR / 365 + dice.below(YEAR / 365),
            }
        };
        let times = (0..phase.rows).map(|_| time()).collect();
        store.add(Level::Arrived, times);
        store.arrived += phase.rows as u64;
        store.compact(false);
        if number % phase.idle_after == phase.idle_after - 1 {
            store.compact(true);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_arrives_few_segments_stay_and_settled_ones_lie_apart(
        phases in vec(phase(), 1..5),
        seed in any::<u64>(),
    ) {
        let (mut store, mut clock, mut dice) = (Store::default(), 0, Dice(seed));
        for phase in &phases {
            arrive(&mut store, phase, &mut clock, &mut dice);
        }
        store.compact(true);
    }
}

/// What merges write for each row that arrives, and what it is made of:
///
/// * settling it: itself, and at most ten rows among which it arrived;
/// * what is merged beside it and does not settle: no more rows than do;
/// * gathering it before: the fewest rows for each file that goes away, at most two for each doubling of its file up to a tenth of a
///   settled segment, and there are fewer than eight;
/// * filling: what is rewritten is paid for by the slack that was used up, less than a row for each.
///
/// So 24 is generous in all but the smallest of segments. A moment in which nothing arrives may rewrite what is there, once.
#[test]
fn rows_are_rewritten_a_bounded_number_of_times() {
    use Order::*;
    for order in [Forwards, Late, Backwards, Shuffled, Days] {
        for (segments, rows) in [(2_000, 1), (1_000, 5), (500, 30), (300, 200), (50, 1_000)] {
            for (far, idle_after) in [(0, usize::MAX), (10, usize::MAX), (10, 100)] {
                let (mut store, mut clock, mut dice) = (Store::default(), 0, Dice(7));
                arrive(&mut store, &Phase { order, segments, rows, far, idle_after }, &mut clock, &mut dice);
                let amplification = store.rewritten as f64 / store.arrived as f64;
                let idle = segments / idle_after;
                println!("{order:?}, {segments} of {rows} rows, {idle} idle moments: {amplification:.1}, {} live", store.live.len());
                assert!(amplification <= (24 + idle) as f64, "{amplification}");
            }
        }
    }
}
