//! One strategy for each type of the log. The larger ones are boxed: what they are made of fills a stack otherwise.

use std::num::{NonZeroU32, NonZeroU64};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tapelog_events::codec::FORMAT;
use tapelog_events::time::Clusivity;
use tapelog_events::*;
use uuid::Uuid;

use crate::resources::{account_event, deletion_event, delivery_event, life_event, profile_event, webhook_event};

pub fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z/ü\"]{0,8}", 1 => any::<String>()]
}

pub fn object_id() -> impl Strategy<Value = ObjectId> {
    let of_uuid = any::<[u8; 16]>()
        .prop_map(|bytes| ObjectId::from_uuid(uuid::Builder::from_random_bytes(bytes).into_uuid()).unwrap());
    prop_oneof![of_uuid, "[a-zA-Z0-9/ü -]{1,40}".prop_map(|text| text.parse().unwrap())]
}

pub fn instant() -> impl Strategy<Value = Instant> {
    any::<i64>().prop_map(Instant::from_micros)
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    let anywhere = Timestamp::MIN.as_nanos()..=Timestamp::MAX.as_nanos();
    prop_oneof![-3_000_000_000..3_000_000_000i128, anywhere].prop_map(|nanos| Timestamp::from_nanos(nanos).unwrap())
}

pub fn time_range() -> impl Strategy<Value = TimeRange> {
    let bound = || option::weighted(0.8, (timestamp(), select(vec![Clusivity::Inclusive, Clusivity::Exclusive])));
    (bound(), bound()).prop_map(|(start, end)| TimeRange::new(start, end))
}

pub fn tags() -> impl Strategy<Value = Tags> {
    let value = prop_oneof![text().prop_map(TagValue::One), vec(text(), 0..3).prop_map(TagValue::Many)];
    prop::collection::btree_map(text(), value, 0..3)
}

fn positive() -> impl Strategy<Value = NonZeroU32> {
    (1..=u32::MAX).prop_map(|number| NonZeroU32::new(number).unwrap())
}

fn part() -> impl Strategy<Value = NonZeroU64> {
    (1..=u64::MAX).prop_map(|number| NonZeroU64::new(number).unwrap())
}

pub fn rational() -> impl Strategy<Value = Rational> {
    (part(), option::of(part())).prop_map(|(numerator, denominator)| Rational { numerator, denominator })
}

fn aspect_ratio() -> impl Strategy<Value = AspectRatio> {
    (part(), part()).prop_map(|(numerator, denominator)| AspectRatio { numerator, denominator })
}

pub fn container_mapping() -> BoxedStrategy<ContainerMapping> {
    let audio = (option::of(vec(any::<u64>(), 0..3)), option::of(text()));
    let audio = audio.prop_map(|(channel_numbers, channel_range)| AudioTrack { channel_numbers, channel_range });
    let mxf = (option::of(text()), option::of(any::<i64>()));
    let mxf = mxf.prop_map(|(package_uid, track_id)| MxfContainer { package_uid, track_id });
    let mp2ts = option::of(any::<i64>()).prop_map(|pid| Mp2tsContainer { pid });
    let isobmff = option::of(any::<i64>()).prop_map(|track_id| IsobmffContainer { track_id });
    let indexes = (option::of(any::<u64>()), option::of(any::<u64>()));
    (indexes, option::of(audio), option::of(mp2ts), option::of(mxf), option::of(isobmff))
        .prop_map(
            |((track_index, format_track_index), audio_track, mp2ts_container, mxf_container, isobmff_container)| {
                ContainerMapping {
                    track_index,
                    format_track_index,
                    audio_track,
                    mp2ts_container,
                    mxf_container,
                    isobmff_container,
                }
            },
        )
        .boxed()
}

fn video() -> BoxedStrategy<VideoEssence> {
    use UncVideoType as Unc;
    let unc_types = vec![
        Unc::Planar,
        Unc::YUYV,
        Unc::UYVY,
        Unc::AYUV,
        Unc::V210,
        Unc::V216,
        Unc::RGB,
        Unc::RGBx,
        Unc::XRGB,
        Unc::BGRx,
        Unc::XBGR,
        Unc::RGBA,
        Unc::ARGB,
        Unc::BGRA,
        Unc::ABGR,
        Unc::Alpha,
    ];
    let scans = vec![
        InterlaceMode::Progressive,
        InterlaceMode::InterlacedTff,
        InterlaceMode::InterlacedBff,
        InterlaceMode::InterlacedPsf,
    ];
    let spaces = vec![Colorspace::BT601, Colorspace::BT709, Colorspace::BT2020, Colorspace::BT2100];
    let transfers = vec![TransferCharacteristic::SDR, TransferCharacteristic::HLG, TransferCharacteristic::PQ];
    let components = vec![ComponentType::YCbCr, ComponentType::RGB];
    let avc = any::<(i64, i64, i64)>().prop_map(|(profile, level, flags)| AvcParameters { profile, level, flags });
    let picture = (positive(), positive(), option::of(rational()), option::of(any::<bool>()), option::of(positive()));
    let colour = (
        option::of(select(scans)),
        option::of(select(spaces)),
        option::of(select(transfers)),
        option::of(select(components)),
        option::of(select(unc_types)),
    );
    let ratios = (option::of(aspect_ratio()), option::of(aspect_ratio()));
    let subsampling = (option::of(positive()), option::of(positive()));
    (picture, colour, ratios, subsampling, option::of(avc), option::of(any::<bool>()))
        .prop_map(|(picture, colour, ratios, subsampling, avc_parameters, init_segments)| VideoEssence {
            frame_width: picture.0,
            frame_height: picture.1,
            frame_rate: picture.2,
            vfr: picture.3,
            bit_depth: picture.4,
            interlace_mode: colour.0,
            colorspace: colour.1,
            transfer_characteristic: colour.2,
            component_type: colour.3,
            unc_parameters: colour.4.map(|unc_type| UncVideo { unc_type }),
            aspect_ratio: ratios.0,
            pixel_aspect_ratio: ratios.1,
            horiz_chroma_subs: subsampling.0,
            vert_chroma_subs: subsampling.1,
            avc_parameters,
            init_segments,
        })
        .boxed()
}

fn audio() -> impl Strategy<Value = AudioEssence> {
    let codec = any::<(Option<i64>, Option<i64>)>();
    let codec = codec.prop_map(|(coded_frame_size, mp4_oti)| CodecParameters { coded_frame_size, mp4_oti });
    let unc_type = select(vec![UncAudioType::Interleaved, UncAudioType::Planar, UncAudioType::Pairs]);
    let init = option::of(any::<bool>());
    (positive(), positive(), option::of(positive()), option::of(codec), option::of(unc_type), init).prop_map(
        |(sample_rate, channels, bit_depth, codec_parameters, unc_type, init_segments)| AudioEssence {
            sample_rate,
            channels,
            bit_depth,
            codec_parameters,
            unc_parameters: unc_type.map(|unc_type| UncAudio { unc_type }),
            init_segments,
        },
    )
}

pub fn essence() -> BoxedStrategy<EssenceParameters> {
    let image = (positive(), positive(), option::of(aspect_ratio()))
        .prop_map(|(frame_width, frame_height, aspect_ratio)| ImageEssence { frame_width, frame_height, aspect_ratio });
    let data = (option::of(text()), option::of(any::<bool>()))
        .prop_map(|(data_type, init_segments)| DataEssence { data_type, init_segments });
    prop_oneof![
        video().prop_map(|video| EssenceParameters::Video(Box::new(video))),
        audio().prop_map(EssenceParameters::Audio),
        image.prop_map(EssenceParameters::Image),
        data.prop_map(EssenceParameters::Data),
        option::of(any::<bool>()).prop_map(|init_segments| EssenceParameters::Multi(MultiEssence { init_segments })),
    ]
    .boxed()
}

pub fn format() -> impl Strategy<Value = Format> {
    select(Format::ALL.to_vec())
}

fn flow() -> BoxedStrategy<Flow> {
    let statuses = vec![
        FlowStatus::AwaitingContent,
        FlowStatus::Ingesting,
        FlowStatus::ReplicationInProgress,
        FlowStatus::ClosedComplete,
    ];
    let item =
        (uuid(), option::of(text()), option::of(container_mapping())).prop_map(|(id, role, container_mapping)| {
            CollectionItem { id: FlowId::from_uuid(id), role, container_mapping }
        });
    let ids = (uuid(), uuid(), option::of(uuid()), format());
    let words = vec(option::of(text()), 6);
    let numbers = any::<(Option<u64>, Option<u64>, Option<u64>)>();
    let times = (instant(), instant(), text());
    let state = (option::of(select(statuses)), option::of(any::<bool>()));
    let technical = (option::of(rational()), option::of(container_mapping()), option::of(essence()));
    (ids, words, numbers, times, state, tags(), option::of(vec(item, 0..3)), technical)
        .prop_map(|(ids, mut words, numbers, times, state, tags, flow_collection, technical)| Flow {
            id: FlowId::from_uuid(ids.0),
            source_id: SourceId::from_uuid(ids.1),
            label: words.remove(0),
            description: words.remove(0),
            created_by: words.remove(0),
            updated_by: words.remove(0),
            tags,
            metadata_version: times.2,
            generation: numbers.0,
            created: times.0,
            metadata_updated: times.1,
            status: state.0,
            read_only: state.1,
            max_bit_rate: numbers.1,
            avg_bit_rate: numbers.2,
            flow_collection,
            profile_id: ids.2.map(ProfileId::from_uuid),
            format: ids.3,
            codec: words.remove(0),
            container: words.remove(0),
            segment_duration: technical.0,
            container_mapping: technical.1,
            essence_parameters: technical.2,
        })
        .boxed()
}

fn source() -> BoxedStrategy<Source> {
    let words = (option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    (uuid(), format(), words, tags(), instant(), instant())
        .prop_map(|(id, format, words, tags, created, updated)| Source {
            id: SourceId::from_uuid(id),
            format,
            label: words.0,
            description: words.1,
            tags,
            created_by: words.2,
            updated_by: words.3,
            created,
            updated,
        })
        .boxed()
}

fn sources() -> impl Strategy<Value = Vec<SourceId>> {
    vec(uuid().prop_map(SourceId::from_uuid), 0..3)
}

fn membership() -> impl Strategy<Value = Membership> {
    let classes = option::of(text().prop_map(TagValue::One));
    (vec(uuid().prop_map(FlowId::from_uuid), 0..3), sources(), classes)
        .prop_map(|(flow, source, auth_classes)| Membership { flow, source, auth_classes })
}

pub fn instance() -> impl Strategy<Value = Instance> {
    prop_oneof![
        uuid().prop_map(|id| Instance::Controlled { storage_id: StorageId::from_uuid(id) }),
        (text(), text()).prop_map(|(url, label)| Instance::Uncontrolled { url, label }),
    ]
}

fn segment() -> BoxedStrategy<Segment> {
    let samples = any::<(Option<i64>, Option<i64>, Option<u64>)>();
    let indexes = prop_oneof![Just(vec![0]), vec(any::<u32>(), 0..4)];
    let offset = prop_oneof![Just(Timestamp::ZERO), timestamp()];
    let place = (object_id(), time_range(), offset);
    (place, option::of(timestamp()), samples, option::of(time_range()), (option::of(any::<u32>()), indexes))
        .prop_map(|(place, last_duration, samples, object_timerange, (init_object, indexes))| Segment {
            object_id: place.0,
            timerange: place.1,
            ts_offset: place.2,
            last_duration,
            sample_offset: samples.0,
            sample_count: samples.1,
            object_timerange,
            key_frame_count: samples.2,
            init_object,
            instances: indexes.into(),
        })
        .boxed()
}

fn flow_event() -> BoxedStrategy<Event> {
    let created = (flow(), membership()).prop_map(|(flow, collected_by)| FlowCreated { flow, collected_by }.into());
    let updated = (flow(), option::of(instant()), membership())
        .prop_map(|(flow, segments_updated, collected_by)| FlowUpdated { flow, segments_updated, collected_by }.into());
    let deleted = (uuid(), uuid(), membership()).prop_map(|(flow, source, collected_by)| {
        FlowDeleted { flow_id: FlowId::from_uuid(flow), source_id: SourceId::from_uuid(source), collected_by }.into()
    });
    let trashed = (uuid(), uuid(), membership()).prop_map(|(flow, source, collected_by)| {
        FlowTrashed { flow_id: FlowId::from_uuid(flow), source_id: SourceId::from_uuid(source), collected_by }.into()
    });
    let restored = (flow(), option::of(instant()), membership()).prop_map(|(flow, segments_updated, collected_by)| {
        FlowRestored { flow, segments_updated, collected_by }.into()
    });
    let purged = uuid().prop_map(|id| FlowPurged { flow_id: FlowId::from_uuid(id) }.into());
    let tagged = (uuid(), timestamp(), tags())
        .prop_map(|(id, start, tags)| SegmentTagged { flow_id: FlowId::from_uuid(id), start, tags }.into());
    prop_oneof![created, updated, deleted, trashed, restored, purged, tagged].boxed()
}

fn source_event() -> BoxedStrategy<Event> {
    let item =
        (uuid(), option::of(text())).prop_map(|(id, role)| SourceCollectionItem { id: SourceId::from_uuid(id), role });
    let updated = (source(), sources(), vec(item, 0..3)).prop_map(|(source, collected_by, source_collection)| {
        SourceUpdated { source, collected_by, source_collection }.into()
    });
    let classes = option::of(text().prop_map(TagValue::One));
    let deleted = (uuid(), sources(), classes).prop_map(|(id, collected_by, auth_classes)| {
        SourceDeleted { source_id: SourceId::from_uuid(id), collected_by, auth_classes }.into()
    });
    prop_oneof![source().prop_map(|source| SourceCreated { source }.into()), updated, deleted].boxed()
}

fn media_event() -> BoxedStrategy<Event> {
    let allocated = (option::of(uuid()), uuid(), vec(object_id(), 0..4), text()).prop_map(
        |(flow, storage, object_ids, content_type)| {
            let (flow_id, storage_id) = (flow.map(FlowId::from_uuid), StorageId::from_uuid(storage));
            ObjectsAllocated { flow_id, storage_id, object_ids, content_type }.into()
        },
    );
    let init = (object_id(), vec(any::<u32>(), 0..3))
        .prop_map(|(object_id, indexes)| InitObject { object_id, instances: indexes.into() });
    let parts = (vec(instance(), 0..3), vec(init, 0..3), vec(segment(), 0..4));
    let added = (uuid(), uuid(), membership(), parts).prop_map(
        |(flow, source, collected_by, (instances, init_objects, segments))| {
            let (flow_id, source_id) = (FlowId::from_uuid(flow), SourceId::from_uuid(source));
            SegmentsAdded { flow_id, source_id, collected_by, instances, init_objects, segments }.into()
        },
    );
    let limits = (time_range(), option::of(object_id()), any::<u64>());
    let deleted = (uuid(), uuid(), membership(), limits).prop_map(
        |(flow, source, collected_by, (timerange, object_id, count))| {
            let (flow_id, source_id) = (FlowId::from_uuid(flow), SourceId::from_uuid(source));
            SegmentsDeleted { flow_id, source_id, collected_by, timerange, object_id, count }.into()
        },
    );
    prop_oneof![allocated, added, deleted].boxed()
}

fn event() -> BoxedStrategy<Event> {
    let started = uuid().prop_map(|id| LogStarted { incarnation: Incarnation::from_uuid(id) }.into());
    let service = (option::of(text()), option::of(text()))
        .prop_map(|(name, description)| ServiceUpdated { name, description }.into());
    let others = prop_oneof![
        life_event(),
        profile_event(),
        deletion_event(),
        webhook_event(),
        delivery_event(),
        account_event(),
    ];
    prop_oneof![1 => started, 1 => service, 3 => flow_event(), 3 => source_event(), 3 => media_event(), 3 => others]
        .boxed()
}

fn failure() -> BoxedStrategy<SegmentFailure> {
    use SegmentFailureKind as Kind;
    let kind = prop_oneof![
        text().prop_map(|reason| Kind::Invalid { reason }),
        select(vec![
            Kind::InitRequired,
            Kind::InitForbidden,
            Kind::UnknownInitObject,
            Kind::NotReadable,
            Kind::UnknownObject,
            Kind::AllocatedElsewhere,
        ]),
        (text(), text()).prop_map(|(property, used_as)| Kind::OtherUse { property, used_as }),
        time_range().prop_map(|remaining| Kind::BeingDeleted { remaining }),
        time_range().prop_map(|with| Kind::Overlap { with }),
        text().prop_map(|property| Kind::ObjectDiffers { property }),
        (time_range(), time_range()).prop_map(|(asked, object)| Kind::OutsideObject { asked, object }),
        text().prop_map(|label| Kind::LabelOfBackend { label }),
        text().prop_map(|label| Kind::LabelTaken { label }),
    ];
    (object_id(), time_range(), kind)
        .prop_map(|(object_id, timerange, kind)| SegmentFailure { object_id, timerange, kind })
        .boxed()
}

fn outcome() -> BoxedStrategy<Outcome> {
    let allocated = (uuid(), vec(object_id(), 0..3), text()).prop_map(|(id, object_ids, content_type)| {
        Outcome::Allocated { storage_id: StorageId::from_uuid(id), object_ids, content_type }
    });
    prop_oneof![
        select(vec![Outcome::Created, Outcome::Done]),
        vec(failure(), 0..3).prop_map(|failures| Outcome::Segments { failures }),
        allocated,
        uuid().prop_map(|id| Outcome::WebhookCreated { webhook_id: WebhookId::from_uuid(id) }),
        uuid().prop_map(|id| Outcome::DeletionRequested { request_id: DeletionRequestId::from_uuid(id) }),
    ]
    .boxed()
}

fn commit() -> BoxedStrategy<Commit> {
    let idempotency = (any::<[u8; 32]>(), any::<[u8; 32]>(), outcome())
        .prop_map(|(key, request, outcome)| Idempotency { key, request, outcome });
    let words = (text(), option::of(text()));
    (uuid(), instant(), words, option::of(idempotency), vec(event(), 0..4))
        .prop_map(|(id, at, (actor, request_id), idempotency, events)| Commit {
            id: CommitId::from_uuid(id),
            at,
            actor,
            request_id,
            idempotency,
            events,
        })
        .boxed()
}

pub fn record() -> impl Strategy<Value = Record> {
    let prev_hash = vec(any::<u8>(), 0..4).prop_map(|bytes| ChainHash::of(&bytes));
    (prev_hash, vec(commit(), 0..4)).prop_map(|(prev_hash, commits)| Record { format: FORMAT, prev_hash, commits })
}
