//! Random commands over few resources, so that they meet.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;
use tapelog_commands::{
    AddInstance, AdvanceDeletion, Cascade, Command, CondemnObjects, CreateProfile, CreateWebhook, DeleteFlow,
    DeleteSegments, Expected, FinishCopy, FinishErasure, FlowMetadata, InstanceName, IssueToken, Manner, NewSegment,
    PurgeFlow, RedeliverDeadLetters, RemoveInstance, ResolveDeadLetter, SegmentName, SetAccount, SetSourceProperty,
    SourceProperty, Switch, TagSegment, TagsChange, Technical, UpdateService,
};
use tapelog_events::{
    AUTH_CLASSES, AccountName, CollectionItem, DeadLetter, EssenceParameters, EventPosition, Failure, FlowId, Format,
    ImageEssence, Instance, Instant, MultiEssence, Notification, ObjectId, ProfileId, Resolution, Scope, SealedSecret,
    Seq, Subscription, TagValue, Tags, TechnicalMetadata, TimeRange, Timestamp, Token, TokenId, TokenKind, WebhookId,
};
use tapelog_projections::SegmentFilter;

use crate::scribe::{
    Scribe, allocate, backend, first_page, flow, metadata, new_segment, object, patience, post, put, source, technical,
    uuid,
};

pub const FLOWS: u32 = 6;
pub const SOURCES: u32 = 4;
pub const OBJECTS: u32 = 12;

/// Something that is asked for. Much of it is refused, which is as good.
#[derive(Debug, Clone)]
pub enum Step {
    Put { flow: u32, source: u32, label: Option<u8>, tags: StepTags, members: Vec<u32>, profile: Option<u8> },
    Delete { flow: u32, is_aside: bool, at_once: usize },
    Restore { flow: u32 },
    Purge { flow: u32 },
    Label { source: u32, label: Option<u8> },
    TagSource { source: u32, tags: StepTags },
    Allocate { flow: u32, object: u32 },
    Post { flow: u32, segments: Vec<Posted> },
    TagSegment { flow: u32, segment: usize, by_object: bool, tags: StepTags },
    DeleteSegments { flow: u32, range: TimeRange, object: Option<u32>, at_once: usize },
    Advance,
    ForgetDeletions,
    Instance { object: u32, step: InstanceStep },
    Name { name: u8 },
    Profile { number: u8 },
    Webhook { number: u8, is_wanted: bool },
    DeadLetter { webhook: u8, number: u8, step: LetterStep },
    Account { number: u8, is_wanted: bool },
    Token { number: u8, account: u8, is_wanted: bool },
}

/// A tag `k`, and a class that the resource belongs to.
#[derive(Debug, Clone)]
pub struct StepTags {
    k: Vec<u8>,
    class: Option<u8>,
}

impl StepTags {
    fn tags(&self) -> Tags {
        let k = match self.k.as_slice() {
            [] => None,
            [one] => Some(TagValue::One(letter(*one))),
            many => Some(TagValue::Many(many.iter().copied().map(letter).collect())),
        };
        let class = self.class.map(|class| (AUTH_CLASSES.to_owned(), TagValue::One(letter(class))));
        k.map(|value| ("k".to_owned(), value)).into_iter().chain(class).collect()
    }
}

/// What becomes of an object besides its use.
#[derive(Debug, Clone, Copy)]
pub enum InstanceStep {
    Link,
    Unlink,
    Copy,
    Copied,
    NotCopied,
    Drop,
    Erased,
    Condemn,
    Delete,
    Forget,
}

/// What becomes of a notification that was refused.
#[derive(Debug, Clone, Copy)]
pub enum LetterStep {
    Refused,
    AskedFor,
    Delivered,
    Discarded,
}

/// A segment of an object, each of which is ten seconds long.
#[derive(Debug, Clone)]
pub struct Posted {
    object: u32,
    start: i64,
    /// In seconds, from the object's start.
    skipped: i64,
    length: i64,
    is_external: bool,
    sample_count: Option<i64>,
}

/// Init objects, for those Flows that need one.
const INITS: std::ops::Range<u32> = OBJECTS - 2..OBJECTS;

pub fn letter(number: u8) -> String {
    char::from(b'a' + number).to_string()
}

pub fn object_number(number: u32) -> ObjectId {
    // Both forms that ids are kept in.
    if number.is_multiple_of(2) { object(uuid(0xb000 + number)) } else { object(format!("object/{number}")) }
}

fn second(seconds: i64) -> Timestamp {
    Timestamp::from_parts(seconds, 0).unwrap()
}

fn label() -> impl Strategy<Value = Option<u8>> {
    proptest::option::weighted(0.7, 0..3u8)
}

fn tags() -> impl Strategy<Value = StepTags> {
    let class = proptest::option::weighted(0.3, 0..2u8);
    (proptest::collection::vec(0..3u8, 0..3), class).prop_map(|(k, class)| StepTags { k, class })
}

fn posted() -> impl Strategy<Value = Posted> {
    let numbers = (0..OBJECTS, -30..30i64, 0..4i64, 1..12i64, proptest::bool::weighted(0.7), label());
    numbers.prop_map(|(object, start, skipped, length, is_external, count)| Posted {
        object,
        start,
        skipped,
        length,
        is_external,
        sample_count: count.map(i64::from),
    })
}

pub fn some_range() -> impl Strategy<Value = TimeRange> {
    let bound = || proptest::option::weighted(0.8, (-30..40i64, any::<bool>()));
    (bound(), bound()).prop_map(|(start, end)| {
        let at = |(seconds, inclusive)| {
            use tapelog_events::time::Clusivity::{Exclusive, Inclusive};
            (second(seconds), if inclusive { Inclusive } else { Exclusive })
        };
        TimeRange::new(start.map(at), end.map(at))
    })
}

fn at_once() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), Just(2), Just(usize::MAX)]
}

fn instance_step() -> impl Strategy<Value = InstanceStep> {
    use InstanceStep as Step;
    let seen = [Step::Link, Step::Unlink, Step::Copy, Step::Copied, Step::NotCopied, Step::Drop, Step::Erased];
    proptest::sample::select([&seen[..], &[Step::Condemn, Step::Delete, Step::Forget]].concat())
}

fn letter_step() -> impl Strategy<Value = LetterStep> {
    use LetterStep as Step;
    proptest::sample::select(vec![Step::Refused, Step::AskedFor, Step::Delivered, Step::Discarded])
}

pub fn step() -> impl Strategy<Value = Step> {
    let flow = 0..FLOWS;
    let members = proptest::collection::vec(0..FLOWS, 0..3);
    let profile = proptest::option::weighted(0.1, 0..2u8);
    let of_flows = prop_oneof![
        6 => (flow.clone(), 0..SOURCES, label(), tags(), members, profile)
            .prop_map(|(flow, source, label, tags, members, profile)| Step::Put {
                flow, source, label, tags, members, profile,
            }),
        2 => (flow.clone(), any::<bool>(), at_once())
            .prop_map(|(flow, is_aside, at_once)| Step::Delete { flow, is_aside, at_once }),
        2 => flow.clone().prop_map(|flow| Step::Restore { flow }),
        1 => flow.clone().prop_map(|flow| Step::Purge { flow }),
        1 => (0..SOURCES, label()).prop_map(|(source, label)| Step::Label { source, label }),
        1 => (0..SOURCES, tags()).prop_map(|(source, tags)| Step::TagSource { source, tags }),
    ];
    let of_segments = prop_oneof![
        3 => (flow.clone(), prop_oneof![0..OBJECTS, INITS]).prop_map(|(flow, object)| Step::Allocate { flow, object }),
        12 => (flow.clone(), proptest::collection::vec(posted(), 1..4))
            .prop_map(|(flow, segments)| Step::Post { flow, segments }),
        4 => (flow.clone(), any::<usize>(), any::<bool>(), tags())
            .prop_map(|(flow, segment, by_object, tags)| Step::TagSegment { flow, segment, by_object, tags }),
        2 => (flow, some_range(), proptest::option::of(0..OBJECTS), at_once())
            .prop_map(|(flow, range, object, at_once)| Step::DeleteSegments { flow, range, object, at_once }),
        1 => Just(Step::Advance),
        1 => Just(Step::ForgetDeletions),
        3 => (0..OBJECTS, instance_step()).prop_map(|(object, step)| Step::Instance { object, step }),
    ];
    let of_others = prop_oneof![
        (0..3u8).prop_map(|name| Step::Name { name }),
        (0..3u8).prop_map(|number| Step::Profile { number }),
        (0..3u8, any::<bool>()).prop_map(|(number, is_wanted)| Step::Webhook { number, is_wanted }),
        (0..3u8, 0..3u8, letter_step()).prop_map(|(webhook, number, step)| Step::DeadLetter { webhook, number, step }),
        (0..2u8, any::<bool>()).prop_map(|(number, is_wanted)| Step::Account { number, is_wanted }),
        (0..3u8, 0..2u8, any::<bool>()).prop_map(|(number, account, is_wanted)| Step::Token {
            number,
            account,
            is_wanted
        }),
    ];
    prop_oneof![4 => of_flows, 10 => of_segments, 1 => of_others]
}

/// What Flows of a Source are, so that all filters have something to find.
fn technical_of(source: u32) -> TechnicalMetadata {
    let size = |pixels| NonZeroU32::new(pixels).unwrap();
    match source {
        0 => TechnicalMetadata { codec: Some("text/x".to_owned()), ..technical(Format::Data) },
        1 => technical(Format::Data),
        2 => {
            let frame = ImageEssence { frame_width: size(1920), frame_height: size(1080), aspect_ratio: None };
            let essence_parameters = Some(EssenceParameters::Image(frame));
            TechnicalMetadata { essence_parameters, ..technical(Format::Image) }
        }
        _ => {
            let essence_parameters = Some(EssenceParameters::Multi(MultiEssence { init_segments: Some(true) }));
            TechnicalMetadata { essence_parameters, ..technical(Format::Multi) }
        }
    }
}

pub fn profile_id(number: u8) -> ProfileId {
    ProfileId::from_uuid(uuid(0xe000 + u32::from(number)))
}

fn account_name(number: u8) -> AccountName {
    format!("account-{number}").parse().unwrap()
}

/// One of these things, so that what is asked for is mostly there.
fn one_of<T>(things: impl IntoIterator<Item = T>, number: usize, otherwise: T) -> T {
    let mut things: Vec<T> = things.into_iter().collect();
    if things.is_empty() { otherwise } else { things.swap_remove(number % things.len()) }
}

fn known_flow(scribe: &Scribe, number: u32) -> FlowId {
    let known = (0..FLOWS).map(flow).filter(|id| scribe.tables.flow(*id).is_some());
    one_of(known, number as usize, flow(number))
}

fn trashed_flow(scribe: &Scribe, number: u32) -> FlowId {
    one_of(scribe.tables.registry().trash.iter().map(|(id, _)| *id), number as usize, flow(number))
}

impl Step {
    pub fn command(&self, scribe: &Scribe) -> Command {
        let now = scribe.now();
        let flow_id = |number: &u32| known_flow(scribe, *number);
        let fresh = scribe.records.len() as u32;
        match self {
            Self::Put { flow: number, source: of, label, tags, members, profile } => {
                let mut given = metadata(source(*of));
                given.technical = match profile {
                    Some(number) => Technical::Profile(profile_id(*number)),
                    None => Technical::Unlinked(Box::new(technical_of(*of))),
                };
                given.label = label.map(letter);
                given.tags = tags.tags();
                given.flow_collection = (!members.is_empty()).then(|| {
                    let item = |id| CollectionItem { id, role: None, container_mapping: None };
                    members.iter().map(|member| item(flow(*member))).collect()
                });
                put(flow(*number), FlowMetadata { metadata_version: None, ..given })
            }
            Self::Delete { flow: number, is_aside, at_once } => Command::DeleteFlow(DeleteFlow {
                flow_id: flow_id(number),
                cascade: Cascade::Yes,
                manner: if *is_aside { Manner::Aside } else { Manner::ForGood },
                patience: patience(*at_once, fresh),
            }),
            Self::Restore { flow: number } => Command::RestoreFlow(trashed_flow(scribe, *number)),
            Self::Purge { flow: number } => {
                let before = Instant::from_micros(now.as_micros() + 1);
                Command::PurgeFlow(PurgeFlow { flow_id: trashed_flow(scribe, *number), before })
            }
            Self::Label { source: number, label } => Command::SetSourceProperty(SetSourceProperty {
                source_id: source(*number),
                property: SourceProperty::Label(label.map(letter)),
            }),
            Self::TagSource { source: number, tags } => Command::SetSourceProperty(SetSourceProperty {
                source_id: source(*number),
                property: SourceProperty::Tags(tags.tags()),
            }),
            Self::Allocate { flow: number, object } => allocate(flow_id(number), vec![object_number(*object)]),
            Self::Post { flow: number, segments } => {
                let id = flow_id(number);
                let essence = scribe.tables.flow(id).and_then(|view| view.flow().essence_parameters.as_ref());
                let needs_init = essence.is_some_and(EssenceParameters::init_segments);
                post(id, segments.iter().map(|posted| posted.segment(needs_init)).collect())
            }
            Self::TagSegment { flow: number, segment, by_object, tags } => {
                let flow_id = flow_id(number);
                let page = scribe.tables.segments(flow_id, &SegmentFilter::default(), &first_page(99)).unwrap().page;
                let names = page.items.iter().map(|segment| match by_object {
                    true => SegmentName::Object(segment.object_id.clone()),
                    false => SegmentName::At(segment.timerange.start().unwrap().0),
                });
                let segment = one_of(names, *segment, SegmentName::At(second(0)));
                Command::TagSegment(TagSegment { flow_id, segment, change: TagsChange::Replace(tags.tags()) })
            }
            Self::DeleteSegments { flow: number, range, object, at_once } => Command::DeleteSegments(DeleteSegments {
                flow_id: flow_id(number),
                timerange: *range,
                object_id: object.map(object_number),
                patience: patience(*at_once, fresh),
            }),
            Self::Advance => {
                let open = scribe.tables.registry().all_open_deletions().next().map(|request| request.id);
                let request_id = open.unwrap_or(patience(0, fresh).request_id);
                Command::AdvanceDeletion(AdvanceDeletion { request_id, segments: 1, remember: Duration::ZERO })
            }
            Self::ForgetDeletions => {
                Command::ForgetDeletions(scribe.tables.registry().deletions.iter().map(|(id, _)| *id).collect())
            }
            Self::Instance { object, step } => step.command(*object, scribe),
            Self::Name { name } => {
                Command::UpdateService(UpdateService { name: Some(letter(*name)), description: None })
            }
            Self::Profile { number } => Command::CreateProfile(Box::new(CreateProfile {
                profile_id: profile_id(*number),
                label: Some(letter(*number)),
                description: None,
                tags: Tags::new(),
                created_by: None,
                flow_metadata: technical_of(u32::from(*number % 2)),
            })),
            Self::Webhook { number, is_wanted } => {
                let webhook_id = webhook_id(*number);
                let is_known = scribe.tables.registry().webhooks.get(&webhook_id).is_some();
                if !is_wanted || is_known {
                    return Command::DeleteWebhook(webhook_id);
                }
                let subscription = subscription(&format!("https://example.com/{}", number % 2), Tags::new());
                let signing_secret = SealedSecret { sealed: vec![*number; 4] };
                let webhook = CreateWebhook { webhook_id, subscription, switch: Switch::On, signing_secret };
                Command::CreateWebhook(Box::new(webhook))
            }
            Self::DeadLetter { webhook, number, step } => step.command(webhook_id(*webhook), *number),
            Self::Account { number, is_wanted: false } => Command::DeleteAccount(account_name(*number)),
            Self::Account { number, is_wanted: true } => Command::SetAccount(SetAccount {
                name: account_name(*number),
                label: Some(letter(*number)),
                password_hash: None,
                scopes: Some([Scope::Read].into()),
                access: None,
                disabled: None,
                expected: Expected::Any,
            }),
            Self::Token { number, is_wanted: false, .. } => Command::RevokeToken(token_id(*number)),
            Self::Token { number, account, is_wanted: true } => {
                let token = Token {
                    id: token_id(*number),
                    account: account_name(*account),
                    kind: if *number == 0 { TokenKind::Refresh } else { TokenKind::Api },
                    label: None,
                    secret_hash: [*number; 32],
                    scopes: BTreeSet::from([Scope::Read]),
                    created: now,
                    expires: None,
                };
                Command::IssueToken(IssueToken { token, replaces: None })
            }
        }
    }
}

pub fn webhook_id(number: u8) -> WebhookId {
    WebhookId::from_uuid(uuid(0xc000 + u32::from(number)))
}

fn token_id(number: u8) -> TokenId {
    TokenId::from_uuid(uuid(0x7000 + u32::from(number)))
}

pub fn subscription(url: &str, tags: Tags) -> Subscription {
    Subscription {
        url: url.to_owned(),
        events: vec![Notification::FlowCreated],
        api_key_name: None,
        api_key_value: None,
        flow_ids: None,
        source_ids: None,
        flow_collected_by_ids: None,
        source_collected_by_ids: None,
        accept_get_urls: None,
        accept_storage_ids: None,
        presigned: None,
        verbose_storage: None,
        include_object_timerange: None,
        tags,
    }
}

impl LetterStep {
    fn command(self, webhook_id: WebhookId, number: u8) -> Command {
        let position = EventPosition { seq: Seq(1 + u64::from(number)), commit: 0, event: u32::from(number) };
        let resolved = |resolution| Command::ResolveDeadLetter(ResolveDeadLetter { webhook_id, position, resolution });
        match self {
            Self::Refused => Command::PutDeadLetter(Box::new(DeadLetter {
                webhook_id,
                position,
                notification: Notification::ALL[usize::from(number)],
                attempts: 6,
                failure: Failure { kind: "refused".to_owned(), summary: letter(number), time: Instant::from_micros(1) },
                redelivery: None,
            })),
            Self::AskedFor => {
                Command::RedeliverDeadLetters(RedeliverDeadLetters { webhook_id, positions: vec![position] })
            }
            Self::Delivered => resolved(Resolution::Delivered),
            Self::Discarded => resolved(Resolution::Discarded),
        }
    }
}

impl InstanceStep {
    fn command(self, number: u32, scribe: &Scribe) -> Command {
        let (now, tables, at) = (scribe.now(), &scribe.tables, number as usize);
        let seen = (0..OBJECTS).map(object_number).filter(|id| tables.object(id).is_some());
        let object_id = one_of(seen, at, object_number(number));
        let (expired, _) = tables.expired_objects(0, usize::MAX, now, now);
        let (condemned, _) = tables.condemned_objects(0, usize::MAX);
        let errands = tables.registry().errands.iter();
        let places: Vec<_> = errands.map(|((object_id, storage_id), _)| (object_id.clone(), *storage_id)).collect();
        let (errand_about, storage_id) = one_of(places, at, (object_id.clone(), backend(1)));
        let copied = |result| Command::FinishCopy(FinishCopy { object_id: errand_about.clone(), storage_id, result });
        let add = |instance| {
            let (object_id, reserved_labels) = (object_id.clone(), Vec::new().into());
            Command::AddInstance(AddInstance { object_id, instance, storage_tags: Tags::new(), reserved_labels })
        };
        let remove = |instance| {
            let object_id = object_id.clone();
            Command::RemoveInstance(RemoveInstance { object_id, instance })
        };
        match self {
            Self::Link => {
                let (url, label) = ("https://example.com/linked".to_owned(), "linked".to_owned());
                add(Instance::Uncontrolled { url, label })
            }
            Self::Unlink => remove(InstanceName::Label("linked".to_owned())),
            Self::Copy => add(Instance::Controlled { storage_id: backend(1) }),
            Self::Copied => copied(Ok(())),
            Self::NotCopied => copied(Err("no".to_owned())),
            Self::Drop => remove(InstanceName::Controlled(backend(1))),
            Self::Erased => Command::FinishErasure(FinishErasure { object_id: errand_about, storage_id }),
            Self::Condemn => Command::CondemnObjects(CondemnObjects {
                object_ids: expired,
                unregistered_before: now,
                unreferenced_before: now,
            }),
            Self::Delete => Command::DeleteObject(one_of(expired, at, object_id)),
            Self::Forget => Command::ForgetObjects(condemned.into_iter().map(|(id, _)| id).collect()),
        }
    }
}

impl Posted {
    fn segment(&self, needs_init: bool) -> NewSegment {
        let mut segment = new_segment(
            object_number(self.object),
            TimeRange::from_start_end(second(self.start), second(self.start + self.length)),
        );
        segment.ts_offset = second(self.start - self.skipped);
        segment.object_timerange = Some(TimeRange::from_start_end(Timestamp::ZERO, second(10)));
        segment.sample_count = self.sample_count;
        segment.init_object_id = needs_init.then(|| object_number(INITS.start + self.object % 2));
        if !self.is_external {
            segment.get_urls.clear();
        }
        segment
    }
}
