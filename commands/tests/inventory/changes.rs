//! What is done to the inventory and to its model alike.

use proptest::prelude::*;
use tapelog_events::time::Clusivity;
use tapelog_events::{Instance, TimeRange, Timestamp};

use crate::model::{address, backend};

pub const SECOND: i128 = 1_000_000_000;
pub const FLOWS: u128 = 3;
pub const OBJECTS: u128 = 6;
pub const INITS: u128 = 3;
/// The numbers of init objects begin here, beyond those of all others.
pub const FIRST_INIT: u128 = 1 << 64;

#[derive(Debug, Clone)]
pub enum Change {
    CreateFlow {
        flow: u128,
    },
    RemoveFlow {
        flow: u128,
    },
    HideFlow {
        flow: u128,
    },
    ShowFlow {
        flow: u128,
    },
    Allocate {
        object: u128,
        flow: Option<u128>,
        backend: u128,
    },
    Add(Add),
    Run(Run),
    Delete {
        flow: u128,
        range: TimeRange,
        object: Option<u128>,
    },
    /// Tags one of the Flow's segments, whichever that is, or takes its tags away.
    Tag {
        flow: u128,
        segment: usize,
        value: Option<String>,
    },
    AddInstance {
        object: u128,
        instance: Instance,
    },
    RemoveInstance {
        object: u128,
        instance: Instance,
    },
    Condemn {
        object: u128,
    },
    Forget {
        object: u128,
    },
}

/// One segment. What it says of its object holds only if the object is new.
#[derive(Debug, Clone)]
pub struct Add {
    pub flow: u128,
    pub object: u128,
    pub start: i128,
    pub length: i128,
    pub end: Clusivity,
    pub clock: Clock,
    /// Uses from this hundredth of the object, this many hundredths of it; all of it where absent.
    pub part: Option<(i128, i128)>,
    pub key_frame_count: Option<u64>,
    /// Its init object.
    pub init: Option<u128>,
    pub instances: Vec<Instance>,
    pub last_duration: Option<i128>,
    pub sample_offset: Option<i64>,
    pub sample_count: Option<i64>,
}

/// Where an object's own time starts.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// Where the segment does.
    Flows,
    /// This far before the segment.
    Before(i128),
    /// Here.
    Own(i128),
}

/// Many segments, each with an object of its own: enough of them that a Flow's timeline is split.
#[derive(Debug, Clone)]
pub struct Run {
    pub flow: u128,
    pub start: i128,
    pub length: i128,
    pub count: usize,
    pub order: Order,
    pub clock: Clock,
}

#[derive(Debug, Clone, Copy)]
pub enum Order {
    Forwards,
    Backwards,
    Scattered,
}

/// Changes that stand or fall together.
#[derive(Debug, Clone)]
pub struct Block {
    pub changes: Vec<Change>,
    pub fate: Fate,
}

#[derive(Debug, Clone, Copy)]
pub enum Fate {
    NeverBegun,
    Kept,
    RolledBack,
}

/// Close together, so that segments meet, and as far apart as timestamps go.
pub fn point() -> impl Strategy<Value = i128> {
    let near = (-8i128..=8, -1i128..=1).prop_map(|(seconds, nanos)| seconds * SECOND + nanos);
    let far = prop_oneof![
        Just(Timestamp::MIN.as_nanos()),
        Just(Timestamp::MAX.as_nanos() - 2 * SECOND),
        Just(i128::from(i64::MIN)),
        Just(i128::from(i64::MAX)),
        Just(-i128::from(u64::MAX)),
        Just(1_700_000_000 * SECOND),
    ];
    prop_oneof![5 => near, 1 => (far, 0i128..4).prop_map(|(far, seconds)| far + seconds * SECOND)]
        .prop_map(|nanos| nanos.clamp(Timestamp::MIN.as_nanos(), Timestamp::MAX.as_nanos()))
}

pub fn clusivity() -> impl Strategy<Value = Clusivity> {
    prop_oneof![4 => Just(Clusivity::Exclusive), 1 => Just(Clusivity::Inclusive)]
}

pub fn window() -> impl Strategy<Value = TimeRange> {
    let side = || prop::option::weighted(0.8, (point().prop_map(|at| Timestamp::from_nanos(at).unwrap()), clusivity()));
    prop_oneof![8 => (side(), side()).prop_map(|(start, end)| TimeRange::new(start, end)), 1 => Just(TimeRange::NEVER)]
}

pub fn clock() -> impl Strategy<Value = Clock> {
    prop_oneof![
        2 => Just(Clock::Flows),
        1 => prop_oneof![Just(SECOND), Just(-SECOND), Just(3600 * SECOND), Just(1 << 70)].prop_map(Clock::Before),
        2 => prop_oneof![
            Just(0),
            Just(10 * SECOND),
            Just(-99 * SECOND),
            Just(100 * SECOND),
            Just(95_443 * SECOND),
            Just(-(1i128 << 75)),
        ]
        .prop_map(Clock::Own),
    ]
}

pub fn instance() -> impl Strategy<Value = Instance> {
    prop_oneof![3 => (0..2u128).prop_map(backend), 1 => (0..2u128).prop_map(address)]
}

/// Any object, media or init.
pub fn object() -> impl Strategy<Value = u128> {
    prop_oneof![2 => 0..OBJECTS, 1 => init()]
}

pub fn init() -> impl Strategy<Value = u128> {
    (0..INITS).prop_map(|number| FIRST_INIT + number)
}

pub fn instances() -> impl Strategy<Value = Vec<Instance>> {
    prop_oneof![3 => Just(vec![backend(0)]), 1 => prop::collection::vec(instance(), 0..3)]
}

pub fn add() -> impl Strategy<Value = Add> {
    let length = prop_oneof![4 => Just(SECOND), 1 => Just(1), 1 => Just(5 * SECOND), 1 => Just(1i128 << 72)];
    let part = prop::option::weighted(0.3, (0..90i128, 1..=100i128));
    let key_frames = prop::option::of(prop_oneof![0..3u64, Just(510), Just(511), Just(u64::MAX)]);
    let samples = (
        prop::option::weighted(0.2, 0..SECOND),
        prop::option::weighted(0.2, any::<i64>()),
        prop::option::weighted(0.2, any::<i64>()),
    );
    let place = (0..FLOWS, 0..OBJECTS, point(), length, clusivity(), clock());
    let init = prop::option::weighted(0.4, init());
    (place, part, (key_frames, init), instances(), samples).prop_map(
        |((flow, object, start, length, end, clock), part, (key_frame_count, init), instances, samples)| Add {
            flow,
            object,
            start,
            length,
            end,
            clock,
            part,
            key_frame_count,
            init,
            instances,
            last_duration: samples.0,
            sample_offset: samples.1,
            sample_count: samples.2,
        },
    )
}

pub fn run() -> impl Strategy<Value = Run> {
    let order = prop_oneof![Just(Order::Forwards), Just(Order::Backwards), Just(Order::Scattered)];
    // The last makes a few segments span more than 64 bits of nanoseconds.
    let length = prop_oneof![Just(SECOND), Just(1), Just(20_000_000), Just(1i128 << 58)];
    (0..FLOWS, point(), length, 1..1200usize, order, clock())
        .prop_map(|(flow, start, length, count, order, clock)| Run { flow, start, length, count, order, clock })
}

pub fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (0..FLOWS).prop_map(|flow| Change::CreateFlow { flow }),
        1 => (0..FLOWS).prop_map(|flow| Change::RemoveFlow { flow }),
        1 => (0..FLOWS).prop_map(|flow| Change::HideFlow { flow }),
        1 => (0..FLOWS).prop_map(|flow| Change::ShowFlow { flow }),
        3 => (object(), prop::option::weighted(0.8, 0..FLOWS), 0..2u128)
            .prop_map(|(object, flow, backend)| Change::Allocate { object, flow, backend }),
        2 => (0..FLOWS, 0..8usize, prop::option::weighted(0.8, "[ab]"))
            .prop_map(|(flow, segment, value)| Change::Tag { flow, segment, value }),
        1 => (object(), instance()).prop_map(|(object, instance)| Change::AddInstance { object, instance }),
        1 => (object(), instance()).prop_map(|(object, instance)| Change::RemoveInstance { object, instance }),
        3 => object().prop_map(|object| Change::Condemn { object }),
        2 => object().prop_map(|object| Change::Forget { object }),
        12 => add().prop_map(Change::Add),
        1 => run().prop_map(Change::Run),
        4 => (0..FLOWS, window(), prop::option::weighted(0.3, 0..OBJECTS))
            .prop_map(|(flow, range, object)| Change::Delete { flow, range, object }),
    ]
}

pub fn block() -> impl Strategy<Value = Block> {
    let fate = prop_oneof![Just(Fate::NeverBegun), Just(Fate::Kept), Just(Fate::RolledBack)];
    (prop::collection::vec(change(), 1..12), fate).prop_map(|(changes, fate)| Block { changes, fate })
}
