//! Flows (section 5): the metadata of one technical rendition of a Source.
//!
//! Field names, optionality and value ranges are those of the specification's `flow-*.json` schemas.

use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize, Serializer};

use crate::{FlowId, Instant, ProfileId, SourceId, Tags};

/// The kind of content of a Source and its Flows (`content-format.json`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Format {
    /// Moving pictures.
    #[serde(rename = "urn:x-nmos:format:video")]
    Video,
    /// Sound.
    #[serde(rename = "urn:x-nmos:format:audio")]
    Audio,
    /// Still pictures.
    #[serde(rename = "urn:x-tam:format:image")]
    Image,
    /// Anything else on a timeline.
    #[serde(rename = "urn:x-nmos:format:data")]
    Data,
    /// Several of these together.
    #[serde(rename = "urn:x-nmos:format:multi")]
    Multi,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Video, Self::Audio, Self::Image, Self::Data, Self::Multi];

    /// The URN.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "urn:x-nmos:format:video",
            Self::Audio => "urn:x-nmos:format:audio",
            Self::Image => "urn:x-tam:format:image",
            Self::Data => "urn:x-nmos:format:data",
            Self::Multi => "urn:x-nmos:format:multi",
        }
    }

    /// The format with this URN.
    pub fn from_urn(urn: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == urn)
    }
}

/// A hint that clients maintain (`flow-status.json`); the server attaches no rule to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FlowStatus {
    /// Nothing has come yet.
    AwaitingContent,
    /// Content is coming.
    Ingesting,
    /// Content is being copied from elsewhere.
    ReplicationInProgress,
    /// No more content will come.
    ClosedComplete,
}

/// A Flow as the store keeps it. What is derived from other Flows and from segments (`collected_by`, `timerange`,
/// `segments_updated`) is not part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "FlowMetadata"))]
pub struct Flow {
    /// Names the Flow.
    pub id: FlowId,
    /// The Source that it is a rendition of.
    pub source_id: SourceId,
    /// A short name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who changed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<String>,
    /// Free tags.
    #[serde(default)]
    pub tags: Tags,
    /// Changes whenever the metadata does; opaque.
    pub metadata_version: String,
    /// How many lossy steps lie between the original and this rendition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// When it was created.
    pub created: Instant,
    /// When its metadata changed last. Segments do not count.
    pub metadata_updated: Instant,
    /// Where it stands, as its client says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<FlowStatus>,
    /// Locked against every change but that of this property.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Greatest bit rate, in kbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bit_rate: Option<u64>,
    /// Average bit rate, in kbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_bit_rate: Option<u64>,
    /// The Flows that it collects, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_collection: Option<Vec<CollectionItem>>,
    /// The profile that its technical metadata comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_id: Option<ProfileId>,
    /// The kind of its content.
    pub format: Format,
    /// MIME type of the coding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// MIME type of its media objects. A Flow without one owns no segments (5.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Target duration of its segments, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_duration: Option<Rational>,
    /// Where its essence lies within the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_mapping: Option<ContainerMapping>,
    /// What its format needs said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub essence_parameters: Option<EssenceParameters>,
}

impl Flow {
    /// Whether the Flow is locked.
    pub fn is_read_only(&self) -> bool {
        self.read_only == Some(true)
    }

    /// The Flows that it collects, in order; none when it has no collection.
    pub fn members(&self) -> &[CollectionItem] {
        self.flow_collection.as_deref().unwrap_or_default()
    }
}

/// A positive fraction whose denominator is 1 unless given. It is returned as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rational {
    /// Above the line.
    pub numerator: NonZeroU64,
    /// Below the line; absent where it was not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denominator: Option<NonZeroU64>,
}

/// A positive fraction with both parts given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AspectRatio {
    /// Width.
    pub numerator: NonZeroU64,
    /// Height.
    pub denominator: NonZeroU64,
}

/// One member of a `flow_collection` (5.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CollectionItem {
    /// The collected Flow.
    pub id: FlowId,
    /// What it is to the collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Where it lies within the collecting Flow's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_mapping: Option<ContainerMapping>,
}

/// Where an essence lies within a container (`container-mapping.json`); kept and returned, never interpreted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContainerMapping {
    /// Zero-based number among all tracks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track_index: Option<u64>,
    /// Zero-based number among the tracks of its format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format_track_index: Option<u64>,
    /// Which channels of an audio track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_track: Option<AudioTrack>,
    /// In an MPEG-2 transport stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mp2ts_container: Option<Mp2tsContainer>,
    /// In an MXF file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mxf_container: Option<MxfContainer>,
    /// In an ISO base media file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isobmff_container: Option<IsobmffContainer>,
}

/// Channels of an audio track.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AudioTrack {
    /// Their numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_numbers: Option<Vec<u64>>,
    /// The first and last of them, `a_b`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_range: Option<String>,
}

/// A place in an MPEG-2 transport stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mp2tsContainer {
    /// Packet identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i64>,
}

/// A place in an MXF file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MxfContainer {
    /// UMID or UUID of the package, as a URN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_uid: Option<String>,
    /// Track id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track_id: Option<i64>,
}

/// A place in an ISO base media file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IsobmffContainer {
    /// Track id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track_id: Option<i64>,
}

/// What a format needs said about a Flow. Each is closed: the specification allows no other keys.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EssenceParameters {
    /// Of a video Flow.
    Video(Box<VideoEssence>),
    /// Of an audio Flow.
    Audio(AudioEssence),
    /// Of an image Flow.
    Image(ImageEssence),
    /// Of a data Flow.
    Data(DataEssence),
    /// Of a multi Flow.
    Multi(MultiEssence),
}

impl EssenceParameters {
    /// Whether every media object of the Flow has an init object (5.6); unset means no.
    pub fn init_segments(&self) -> bool {
        let given = match self {
            Self::Video(video) => video.init_segments,
            Self::Audio(audio) => audio.init_segments,
            Self::Image(_) => None,
            Self::Data(data) => data.init_segments,
            Self::Multi(multi) => multi.init_segments,
        };
        given == Some(true)
    }

    /// Width and height of the picture, in pixels, where there is one.
    pub fn frame_size(&self) -> Option<(u32, u32)> {
        match self {
            Self::Video(video) => Some((video.frame_width.get(), video.frame_height.get())),
            Self::Image(image) => Some((image.frame_width.get(), image.frame_height.get())),
            Self::Audio(_) | Self::Data(_) | Self::Multi(_) => None,
        }
    }
}

/// In JSON the parameters stand alone, since `format` beside them says their kind; the log names the kind.
impl Serialize for EssenceParameters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names_kind = !serializer.is_human_readable();
        match self {
            Self::Video(video) if names_kind => serializer.serialize_newtype_variant("", 0, "video", video),
            Self::Audio(audio) if names_kind => serializer.serialize_newtype_variant("", 1, "audio", audio),
            Self::Image(image) if names_kind => serializer.serialize_newtype_variant("", 2, "image", image),
            Self::Data(data) if names_kind => serializer.serialize_newtype_variant("", 3, "data", data),
            Self::Multi(multi) if names_kind => serializer.serialize_newtype_variant("", 4, "multi", multi),
            Self::Video(video) => video.serialize(serializer),
            Self::Audio(audio) => audio.serialize(serializer),
            Self::Image(image) => image.serialize(serializer),
            Self::Data(data) => data.serialize(serializer),
            Self::Multi(multi) => multi.serialize(serializer),
        }
    }
}

/// How frames are scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum InterlaceMode {
    /// Whole frames.
    Progressive,
    /// Top field first.
    InterlacedTff,
    /// Bottom field first.
    InterlacedBff,
    /// Segmented frames.
    InterlacedPsf,
}

/// Colour space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "the names are those of the recommendations")]
pub enum Colorspace {
    BT601,
    BT709,
    BT2020,
    BT2100,
}

/// Transfer characteristic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum TransferCharacteristic {
    SDR,
    HLG,
    PQ,
}

/// What the components of a pixel mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum ComponentType {
    YCbCr,
    RGB,
}

/// Layout of uncompressed video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UncVideo {
    /// The layout's name.
    pub unc_type: UncVideoType,
}

/// Names of layouts of uncompressed video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum UncVideoType {
    #[serde(rename = "planar")]
    Planar,
    YUYV,
    UYVY,
    AYUV,
    #[serde(rename = "v210")]
    V210,
    #[serde(rename = "v216")]
    V216,
    RGB,
    RGBx,
    #[serde(rename = "xRGB")]
    XRGB,
    BGRx,
    #[serde(rename = "xBGR")]
    XBGR,
    RGBA,
    ARGB,
    BGRA,
    ABGR,
    #[serde(rename = "alpha")]
    Alpha,
}

/// Parameters of H.264, as its decoder configuration names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AvcParameters {
    /// `profile_idc`.
    pub profile: i64,
    /// `level_idc`.
    pub level: i64,
    /// Constraint flags.
    pub flags: i64,
}

/// `essence_parameters` of a video Flow. `frame_rate` is there unless `vfr` is true, and then it is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VideoEssence {
    /// Width, in pixels.
    pub frame_width: NonZeroU32,
    /// Height, in pixels.
    pub frame_height: NonZeroU32,
    /// Frames a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<Rational>,
    /// Whether the frame rate varies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vfr: Option<bool>,
    /// Bits a component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bit_depth: Option<NonZeroU32>,
    /// How frames are scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interlace_mode: Option<InterlaceMode>,
    /// Colour space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colorspace: Option<Colorspace>,
    /// Transfer characteristic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_characteristic: Option<TransferCharacteristic>,
    /// Of the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aspect_ratio: Option<AspectRatio>,
    /// Of a pixel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_aspect_ratio: Option<AspectRatio>,
    /// What the components mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_type: Option<ComponentType>,
    /// Horizontal chroma subsampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horiz_chroma_subs: Option<NonZeroU32>,
    /// Vertical chroma subsampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vert_chroma_subs: Option<NonZeroU32>,
    /// Layout of uncompressed video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unc_parameters: Option<UncVideo>,
    /// Parameters of H.264.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avc_parameters: Option<AvcParameters>,
    /// Whether media objects have init objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_segments: Option<bool>,
}

/// Parameters of an audio codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CodecParameters {
    /// Samples a coded frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coded_frame_size: Option<i64>,
    /// MPEG-4 audio object type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mp4_oti: Option<i64>,
}

/// Layout of uncompressed audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UncAudio {
    /// The layout's name.
    pub unc_type: UncAudioType,
}

/// Names of layouts of uncompressed audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum UncAudioType {
    Interleaved,
    Planar,
    Pairs,
}

/// `essence_parameters` of an audio Flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AudioEssence {
    /// Samples a second.
    pub sample_rate: NonZeroU32,
    /// Number of channels.
    pub channels: NonZeroU32,
    /// Bits a sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bit_depth: Option<NonZeroU32>,
    /// Parameters of the codec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec_parameters: Option<CodecParameters>,
    /// Layout of uncompressed audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unc_parameters: Option<UncAudio>,
    /// Whether media objects have init objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_segments: Option<bool>,
}

/// `essence_parameters` of an image Flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ImageEssence {
    /// Width, in pixels.
    pub frame_width: NonZeroU32,
    /// Height, in pixels.
    pub frame_height: NonZeroU32,
    /// Of the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aspect_ratio: Option<AspectRatio>,
}

/// `essence_parameters` of a data Flow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DataEssence {
    /// What the data are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_type: Option<String>,
    /// Whether media objects have init objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_segments: Option<bool>,
}

/// `essence_parameters` of a multi Flow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MultiEssence {
    /// Whether media objects have init objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_segments: Option<bool>,
}
