//! What the records of `golden-v1.bin` mean.

use std::num::{NonZeroU32, NonZeroU64};

use tapelog_events::codec::encode;
use tapelog_events::*;
use uuid::Uuid;

/// A record of every event, and one of every outcome.
pub fn records() -> Vec<Record> {
    records_of(events(), outcomes())
}

/// A record of these events, and one of these outcomes.
pub fn records_of(events: Vec<Event>, outcomes: Vec<Outcome>) -> Vec<Record> {
    let commit = |events, idempotency: Option<Idempotency>| Commit {
        id: CommitId::from_uuid("01936f00-0000-7000-8000-000000000001".parse().unwrap()),
        at: instant("2026-11-21T12:00:00.000001Z"),
        actor: "operator".to_owned(),
        request_id: idempotency.is_some().then(|| "request-1".to_owned()),
        idempotency,
        events,
    };
    let mut records: Vec<Record> = Vec::new();
    let mut add = |commits| {
        let prev_hash = records.last().map_or(ChainHash::ZERO, |record| ChainHash::of(&encode(record)));
        records.push(Record { format: 1, prev_hash, commits });
    };
    let idempotent = |outcome| Some(Idempotency { key: [0xaa; 32], request: [0xbb; 32], outcome });
    add(vec![commit(events, None)]);
    add(outcomes.into_iter().map(|outcome| commit(Vec::new(), idempotent(outcome))).collect());
    records
}

fn outcomes() -> Vec<Outcome> {
    use SegmentFailureKind as Kind;
    let text = str::to_owned;
    let kinds = [
        Kind::Invalid { reason: text("timerange is empty") },
        Kind::InitRequired,
        Kind::Overlap { with: range("[0:0_1:0)") },
        Kind::UnknownObject,
        Kind::AllocatedElsewhere,
        Kind::ObjectDiffers { property: text("key_frame_count") },
        Kind::OutsideObject { asked: range("[0:0_2:0)"), object: range("[0:0_1:0)") },
        Kind::LabelOfBackend { label: text("vault") },
        Kind::LabelTaken { label: text("copy") },
    ];
    let failure = |kind| SegmentFailure { object_id: text_object(), timerange: range("[0:0_1:0)"), kind };
    vec![
        Outcome::Created,
        Outcome::Done,
        Outcome::Segments { failures: Vec::new() },
        Outcome::Segments { failures: kinds.map(failure).to_vec() },
        Outcome::Allocated {
            storage_id: storage_id(),
            object_ids: vec![uuid_object(), text_object()],
            content_type: text("video/mp2t"),
        },
    ]
}

pub fn events() -> Vec<Event> {
    [described_events(), flows_with_every_value()].concat()
}

/// Flows that have, together, every value that a field with few values can have.
fn flows_with_every_value() -> Vec<Event> {
    use UncVideoType as Unc;
    let statuses = [FlowStatus::AwaitingContent, FlowStatus::Ingesting, FlowStatus::ReplicationInProgress];
    let with_status = statuses.map(|status| Flow { status: Some(status), ..bare_flow() });
    let unc_types = [
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
    let interlace_modes = [
        InterlaceMode::Progressive,
        InterlaceMode::InterlacedTff,
        InterlaceMode::InterlacedBff,
        InterlaceMode::InterlacedPsf,
    ];
    let colorspaces = [Colorspace::BT601, Colorspace::BT709, Colorspace::BT2020, Colorspace::BT2100];
    let transfers = [TransferCharacteristic::SDR, TransferCharacteristic::HLG, TransferCharacteristic::PQ];
    let components = [ComponentType::YCbCr, ComponentType::RGB];
    let videos = unc_types.into_iter().enumerate().map(|(number, unc_type)| VideoEssence {
        unc_parameters: Some(UncVideo { unc_type }),
        interlace_mode: Some(interlace_modes[number % interlace_modes.len()]),
        colorspace: Some(colorspaces[number % colorspaces.len()]),
        transfer_characteristic: Some(transfers[number % transfers.len()]),
        component_type: Some(components[number % components.len()]),
        ..bare_video()
    });
    let audios = [UncAudioType::Interleaved, UncAudioType::Planar, UncAudioType::Pairs];
    let audios = audios.map(|unc_type| AudioEssence { unc_parameters: Some(UncAudio { unc_type }), ..bare_audio() });
    let essences = videos.map(of_video).chain(audios.map(EssenceParameters::Audio));
    let with_essence = essences.map(|essence| Flow { essence_parameters: Some(essence), ..bare_flow() });
    let flows = with_status.into_iter().chain(with_essence);
    flows.map(|flow| FlowCreated { flow, collected_by: Membership::default() }.into()).collect()
}

fn of_video(essence: VideoEssence) -> EssenceParameters {
    EssenceParameters::Video(Box::new(essence))
}

/// Each type of event with all that can be left out, and without.
fn described_events() -> Vec<Event> {
    let membership = || Membership { flow: vec![other_flow_id()], source: vec![other_source_id()], auth_classes: None };
    let collection = vec![
        SourceCollectionItem { id: source_id(), role: Some("video".to_owned()) },
        SourceCollectionItem { id: other_source_id(), role: None },
    ];
    vec![
        LogStarted { incarnation: Incarnation::from_uuid(uuid("00000000-0000-4000-8000-0000000000e1")) }.into(),
        ServiceUpdated { name: Some("archive".to_owned()), description: Some("of tapes".to_owned()) }.into(),
        ServiceUpdated { name: None, description: None }.into(),
        SourceCreated { source: full_source() }.into(),
        SourceCreated { source: bare_source() }.into(),
        SourceUpdated { source: full_source(), collected_by: vec![other_source_id()], source_collection: collection }
            .into(),
        SourceUpdated { source: bare_source(), collected_by: Vec::new(), source_collection: Vec::new() }.into(),
        SourceDeleted { source_id: source_id(), collected_by: vec![other_source_id()], auth_classes: None }.into(),
        SourceDeleted { source_id: source_id(), collected_by: Vec::new(), auth_classes: None }.into(),
        FlowCreated { flow: full_flow(Format::Video, of_video(full_video())), collected_by: membership() }.into(),
        FlowCreated { flow: full_flow(Format::Video, of_video(bare_video())), collected_by: Membership::default() }
            .into(),
        FlowCreated {
            flow: full_flow(Format::Audio, EssenceParameters::Audio(full_audio())),
            collected_by: membership(),
        }
        .into(),
        FlowCreated {
            flow: full_flow(Format::Audio, EssenceParameters::Audio(bare_audio())),
            collected_by: membership(),
        }
        .into(),
        FlowCreated { flow: full_flow(Format::Image, image(Some(aspect_ratio()))), collected_by: membership() }.into(),
        FlowCreated { flow: full_flow(Format::Image, image(None)), collected_by: membership() }.into(),
        FlowCreated { flow: full_flow(Format::Data, data(Some("text"), Some(false))), collected_by: membership() }
            .into(),
        FlowCreated { flow: full_flow(Format::Data, data(None, None)), collected_by: membership() }.into(),
        FlowCreated { flow: full_flow(Format::Multi, multi(Some(true))), collected_by: membership() }.into(),
        FlowCreated { flow: full_flow(Format::Multi, multi(None)), collected_by: membership() }.into(),
        FlowUpdated {
            flow: bare_flow(),
            segments_updated: Some(instant("1969-12-31T23:59:59.999999Z")),
            collected_by: membership(),
        }
        .into(),
        FlowUpdated { flow: bare_flow(), segments_updated: None, collected_by: Membership::default() }.into(),
        FlowDeleted { flow_id: flow_id(), source_id: source_id(), collected_by: membership() }.into(),
        FlowDeleted { flow_id: flow_id(), source_id: source_id(), collected_by: Membership::default() }.into(),
        ObjectsAllocated {
            flow_id: Some(flow_id()),
            storage_id: storage_id(),
            object_ids: vec![uuid_object(), text_object()],
            content_type: "video/mp2t".to_owned(),
        }
        .into(),
        SegmentsAdded {
            flow_id: flow_id(),
            source_id: source_id(),
            collected_by: membership(),
            instances: vec![
                Instance::Controlled { storage_id: storage_id() },
                Instance::Uncontrolled { url: "https://example.com/a".to_owned(), label: "copy".to_owned() },
            ],
            init_objects: Vec::new(),
            segments: segments(),
        }
        .into(),
        SegmentsDeleted {
            flow_id: flow_id(),
            source_id: source_id(),
            collected_by: membership(),
            timerange: range("[0:0_1:0)"),
            object_id: Some(text_object()),
            count: 1,
        }
        .into(),
        SegmentsDeleted {
            flow_id: flow_id(),
            source_id: source_id(),
            collected_by: Membership::default(),
            timerange: range("[-281474976710655:999999999_281474976710655:999999999]"),
            object_id: None,
            count: u64::MAX,
        }
        .into(),
    ]
}

pub fn segments() -> Vec<Segment> {
    let bare = Segment {
        object_id: uuid_object(),
        timerange: range("[1694429247:0_1694429248:40000000)"),
        ts_offset: Timestamp::ZERO,
        last_duration: None,
        sample_offset: None,
        sample_count: None,
        object_timerange: None,
        key_frame_count: None,
        init_object: None,
        instances: InstanceIndexes::from_slice(&[0]),
    };
    let full = Segment {
        object_id: text_object(),
        timerange: range("[-1:0_-0:500000000]"),
        ts_offset: "-1:500000000".parse().unwrap(),
        last_duration: Some("0:40000000".parse().unwrap()),
        sample_offset: Some(-1),
        sample_count: Some(25),
        object_timerange: Some(range("[0:0_10:0)")),
        key_frame_count: Some(2),
        init_object: None,
        instances: InstanceIndexes::from_slice(&[1, 0, 1]),
    };
    let nowhere = Segment { instances: InstanceIndexes::new(), timerange: range("[5:0]"), ..bare.clone() };
    vec![bare, full, nowhere]
}

pub fn full_flow(format: Format, essence: EssenceParameters) -> Flow {
    let mapping = ContainerMapping {
        track_index: Some(0),
        format_track_index: Some(1),
        audio_track: Some(AudioTrack { channel_numbers: Some(vec![0, 1]), channel_range: Some("0_1".to_owned()) }),
        mp2ts_container: Some(Mp2tsContainer { pid: Some(256) }),
        mxf_container: Some(MxfContainer { package_uid: Some("urn:uuid:0".to_owned()), track_id: Some(2) }),
        isobmff_container: Some(IsobmffContainer { track_id: Some(3) }),
    };
    let empty_mapping = ContainerMapping {
        track_index: None,
        format_track_index: None,
        audio_track: Some(AudioTrack { channel_numbers: None, channel_range: None }),
        mp2ts_container: Some(Mp2tsContainer { pid: None }),
        mxf_container: Some(MxfContainer { package_uid: None, track_id: None }),
        isobmff_container: Some(IsobmffContainer { track_id: None }),
    };
    let member = |role: Option<&str>, container_mapping| CollectionItem {
        id: other_flow_id(),
        role: role.map(str::to_owned),
        container_mapping,
    };
    Flow {
        label: Some("camera one".to_owned()),
        description: Some("from the left, ünicode".to_owned()),
        created_by: Some("founder".to_owned()),
        updated_by: Some("editor".to_owned()),
        tags: tags(),
        generation: Some(1),
        status: Some(FlowStatus::ClosedComplete),
        read_only: Some(true),
        max_bit_rate: Some(6000),
        avg_bit_rate: Some(5000),
        flow_collection: Some(vec![
            member(Some("video"), Some(mapping.clone())),
            member(None, None),
            member(None, Some(empty_mapping)),
            member(None, Some(ContainerMapping::default())),
        ]),
        profile_id: Some(ProfileId::from_uuid(uuid("00000000-0000-4000-8000-0000000000d1"))),
        format,
        codec: Some("video/h264".to_owned()),
        container: Some("video/mp2t".to_owned()),
        segment_duration: Some(Rational { numerator: positive64(2), denominator: Some(positive64(1)) }),
        container_mapping: Some(mapping),
        essence_parameters: Some(essence),
        ..bare_flow()
    }
}

pub fn bare_flow() -> Flow {
    Flow {
        id: flow_id(),
        source_id: source_id(),
        label: None,
        description: None,
        created_by: None,
        updated_by: None,
        tags: Tags::new(),
        metadata_version: "1".to_owned(),
        generation: None,
        created: instant("2026-11-21T12:00:00Z"),
        metadata_updated: instant("2026-11-21T12:00:01Z"),
        status: None,
        read_only: None,
        max_bit_rate: None,
        avg_bit_rate: None,
        flow_collection: None,
        profile_id: None,
        format: Format::Data,
        codec: None,
        container: None,
        segment_duration: None,
        container_mapping: None,
        essence_parameters: None,
    }
}

fn full_video() -> VideoEssence {
    VideoEssence {
        frame_width: positive(1920),
        frame_height: positive(1080),
        frame_rate: Some(Rational { numerator: positive64(30000), denominator: Some(positive64(1001)) }),
        vfr: Some(false),
        bit_depth: Some(positive(8)),
        interlace_mode: Some(InterlaceMode::InterlacedTff),
        colorspace: Some(Colorspace::BT709),
        transfer_characteristic: Some(TransferCharacteristic::HLG),
        aspect_ratio: Some(aspect_ratio()),
        pixel_aspect_ratio: Some(aspect_ratio()),
        component_type: Some(ComponentType::YCbCr),
        horiz_chroma_subs: Some(positive(2)),
        vert_chroma_subs: Some(positive(1)),
        unc_parameters: Some(UncVideo { unc_type: UncVideoType::V210 }),
        avc_parameters: Some(AvcParameters { profile: 100, level: 40, flags: 0 }),
        init_segments: Some(false),
    }
}

fn bare_video() -> VideoEssence {
    VideoEssence {
        frame_width: positive(1),
        frame_height: positive(u32::MAX),
        frame_rate: Some(Rational { numerator: positive64(25), denominator: None }),
        vfr: None,
        bit_depth: None,
        interlace_mode: None,
        colorspace: None,
        transfer_characteristic: None,
        aspect_ratio: None,
        pixel_aspect_ratio: None,
        component_type: None,
        horiz_chroma_subs: None,
        vert_chroma_subs: None,
        unc_parameters: None,
        avc_parameters: None,
        init_segments: None,
    }
}

fn full_audio() -> AudioEssence {
    AudioEssence {
        sample_rate: positive(48_000),
        channels: positive(2),
        bit_depth: Some(positive(24)),
        codec_parameters: Some(CodecParameters { coded_frame_size: Some(1024), mp4_oti: Some(2) }),
        unc_parameters: Some(UncAudio { unc_type: UncAudioType::Interleaved }),
        init_segments: Some(true),
    }
}

fn bare_audio() -> AudioEssence {
    AudioEssence {
        sample_rate: positive(44_100),
        channels: positive(1),
        bit_depth: None,
        codec_parameters: Some(CodecParameters { coded_frame_size: None, mp4_oti: None }),
        unc_parameters: None,
        init_segments: None,
    }
}

pub fn image(aspect_ratio: Option<AspectRatio>) -> EssenceParameters {
    EssenceParameters::Image(ImageEssence { frame_width: positive(640), frame_height: positive(480), aspect_ratio })
}

fn data(data_type: Option<&str>, init_segments: Option<bool>) -> EssenceParameters {
    EssenceParameters::Data(DataEssence { data_type: data_type.map(str::to_owned), init_segments })
}

fn multi(init_segments: Option<bool>) -> EssenceParameters {
    EssenceParameters::Multi(MultiEssence { init_segments })
}

pub fn full_source() -> Source {
    Source {
        label: Some("news".to_owned()),
        description: Some("at ten".to_owned()),
        tags: tags(),
        created_by: Some("founder".to_owned()),
        updated_by: Some("editor".to_owned()),
        ..bare_source()
    }
}

pub fn bare_source() -> Source {
    Source {
        id: source_id(),
        format: Format::Video,
        label: None,
        description: None,
        tags: Tags::new(),
        created_by: None,
        updated_by: None,
        created: instant("2026-11-21T12:00:00Z"),
        updated: instant("2026-11-21T12:00:01Z"),
    }
}

pub fn tags() -> Tags {
    [
        ("one".to_owned(), TagValue::One("x".to_owned())),
        ("many".to_owned(), TagValue::Many(vec!["x".to_owned(), "y".to_owned()])),
        ("none/of them".to_owned(), TagValue::Many(Vec::new())),
    ]
    .into()
}

pub fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}

pub fn flow_id() -> FlowId {
    "00000000-0000-4000-8000-0000000000f1".parse().unwrap()
}

pub fn other_flow_id() -> FlowId {
    "00000000-0000-4000-8000-0000000000f2".parse().unwrap()
}

pub fn source_id() -> SourceId {
    "00000000-0000-4000-8000-0000000000a1".parse().unwrap()
}

pub fn other_source_id() -> SourceId {
    "00000000-0000-4000-8000-0000000000a2".parse().unwrap()
}

pub fn storage_id() -> StorageId {
    "00000000-0000-4000-8000-0000000000b1".parse().unwrap()
}

pub fn uuid_object() -> ObjectId {
    "00000000-0000-4000-8000-0000000000c1".parse().unwrap()
}

pub fn text_object() -> ObjectId {
    "tapes/1983 ü".parse().unwrap()
}

pub fn range(text: &str) -> TimeRange {
    text.parse().unwrap()
}

pub fn instant(text: &str) -> Instant {
    text.parse().unwrap()
}

fn aspect_ratio() -> AspectRatio {
    AspectRatio { numerator: positive64(16), denominator: positive64(9) }
}

fn positive(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

pub fn positive64(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap()
}
