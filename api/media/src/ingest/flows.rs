//! The flows and sources that an input becomes (TAMS application notes 0001 and 0006).
//!
//! - Media with one track is one flow that has a `container` and owns segments.
//! - Muxed media is a multi flow that has a `container` and owns the segments, and collects one flow
//!   for each track; those have no `container`, and the collection says which track they are.
//! - A variant with separate sound is collected with that sound by one more multi flow, without
//!   `container`.
//!
//! All qualities of the same content are flows of one source.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::input::{Rendition, RenditionKind};
use crate::probe::{AudioParameters, Container, Essence, FrameRate, MediaFile, Track, VideoCodec, VideoParameters};

const VIDEO: &str = "urn:x-nmos:format:video";
const AUDIO: &str = "urn:x-nmos:format:audio";
const MULTI: &str = "urn:x-nmos:format:multi";

/// Where all ids of one input come from, so that ingesting it again finds what is there.
#[derive(Debug, Clone, Copy)]
pub struct Ids {
    root: Uuid,
    flow: Option<Uuid>,
    source: Option<Uuid>,
}

impl Ids {
    /// Ids for an input: from its identity and the hash of its first object, or from the flow id
    /// that the user chose. `flow` and `source` are the ids of the leading rendition's flow.
    pub fn new(identity: &str, first: &blake3::Hash, flow: Option<Uuid>, source: Option<Uuid>) -> Self {
        let name = format!("{identity}#{}", first.to_hex());
        let root = flow.unwrap_or_else(|| Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()));
        Self { root, flow, source }
    }

    fn flow(&self, rendition: &Rendition, leading: bool) -> Uuid {
        let chosen = self.flow.filter(|_| leading);
        chosen.unwrap_or_else(|| derived(self.root, &format!("flow/{}", rendition.key)))
    }

    fn source(&self, name: &str) -> Uuid {
        derived(self.root, &format!("source/{name}"))
    }
}

fn derived(parent: Uuid, name: &str) -> Uuid {
    Uuid::new_v5(&parent, name.as_bytes())
}

/// One flow to create.
#[derive(Debug, Clone)]
pub struct PlannedFlow {
    /// Its id.
    pub id: Uuid,
    /// Its source.
    pub source_id: Uuid,
    /// The document to create it with.
    pub document: Value,
}

/// The flows of one rendition.
#[derive(Debug, Clone)]
pub struct RenditionFlows {
    /// The flow that owns the segments.
    pub owner: PlannedFlow,
    /// The flows of the single tracks of muxed media; empty otherwise.
    pub essences: Vec<PlannedFlow>,
    /// Constant frame rate of the picture that the timing is taken from.
    pub frame_rate: Option<FrameRate>,
}

impl RenditionFlows {
    /// Plans the flows of a rendition from its first media segment. `Err` is why it cannot be done.
    pub fn plan(
        ids: &Ids,
        rendition: &Rendition,
        media: &MediaFile,
        label: &str,
        leading: bool,
    ) -> Result<Self, &'static str> {
        let id = ids.flow(rendition, leading);
        let reference = media.reference();
        let frame_rate = reference.frame_rate();
        let mut owner = Map::new();
        owner.insert("container".to_owned(), container(media).into());
        if let Some((numerator, denominator)) = segment_duration(reference, frame_rate) {
            owner.insert("segment_duration".to_owned(), json!({ "numerator": numerator, "denominator": denominator }));
        }
        let chosen_source = ids.source.filter(|_| leading);
        if let [track] = media.tracks.as_slice() {
            let source_id = chosen_source.unwrap_or_else(|| ids.source(&source_name(rendition, track, 0)));
            owner.extend(essence(track)?);
            let owner = planned(id, source_id, label, owner);
            return Ok(Self { owner, essences: Vec::new(), frame_rate });
        }
        let mut essences = Vec::new();
        let mut items = Vec::new();
        let (mut pictures, mut sounds) = (0, 0);
        for (index, track) in media.tracks.iter().enumerate() {
            let (counter, format_name) = match track.essence {
                Essence::Video { .. } => (&mut pictures, "video"),
                Essence::Audio(_) => (&mut sounds, "audio"),
            };
            let role = if *counter == 0 { format_name.to_owned() } else { format!("{format_name} {}", *counter + 1) };
            let flow_id = derived(id, &format!("track/{}", track.number));
            let source_id = ids.source(&source_name(rendition, track, *counter));
            items.push(json!({
                "id": flow_id,
                "role": role,
                "container_mapping": mapping(media.container, track, index, *counter),
            }));
            essences.push(planned(flow_id, source_id, &format!("{label} {role}"), essence(track)?));
            *counter += 1;
        }
        owner.insert("format".to_owned(), MULTI.into());
        owner.insert("flow_collection".to_owned(), items.into());
        let source_id = chosen_source.unwrap_or_else(|| ids.source(&format!("multi{}", angle(rendition))));
        let owner = planned(id, source_id, label, owner);
        Ok(Self { owner, essences, frame_rate })
    }
}

/// The flow that collects a variant with its separate sound; `None` if it has none.
pub fn collection(
    ids: &Ids,
    variant: (&Rendition, &RenditionFlows),
    all: &[(&Rendition, &RenditionFlows)],
    label: &str,
) -> Option<PlannedFlow> {
    let RenditionKind::Main { audio_group: Some(wanted) } = &variant.0.kind else {
        return None;
    };
    let sounds: Vec<(Uuid, &str)> = all
        .iter()
        .filter_map(|(rendition, flows)| match &rendition.kind {
            RenditionKind::Audio { group, name, .. } if group == wanted => Some((flows.owner.id, name.as_str())),
            _ => None,
        })
        .collect();
    if sounds.is_empty() {
        return None;
    }
    let sound = |(id, name): &(Uuid, &str)| {
        let role = if sounds.len() == 1 { "audio".to_owned() } else { format!("audio {name}") };
        json!({ "id": id, "role": role })
    };
    let role = if variant.1.essences.is_empty() { "video" } else { "main" };
    let mut items = vec![json!({ "id": variant.1.owner.id, "role": role })];
    items.extend(sounds.iter().map(sound));
    let mut document = Map::new();
    document.insert("format".to_owned(), MULTI.into());
    document.insert("flow_collection".to_owned(), items.into());
    let id = derived(variant.1.owner.id, "collection");
    Some(planned(id, ids.source("collection"), &format!("{label} with sound"), document))
}

fn planned(id: Uuid, source_id: Uuid, label: &str, mut document: Map<String, Value>) -> PlannedFlow {
    document.insert("id".to_owned(), json!(id));
    document.insert("source_id".to_owned(), json!(source_id));
    document.insert("label".to_owned(), label.into());
    document.insert("status".to_owned(), "ingesting".into());
    PlannedFlow { id, source_id, document: Value::Object(document) }
}

/// What the content of a track is, whatever its quality.
fn source_name(rendition: &Rendition, track: &Track, index: u32) -> String {
    match (&rendition.kind, &track.essence) {
        (RenditionKind::Audio { name, language, .. }, Essence::Audio(_)) => {
            format!("audio/{}/{name}/{index}", language.as_deref().unwrap_or_default())
        }
        (_, Essence::Audio(_)) => format!("audio{}/{index}", angle(rendition)),
        (_, Essence::Video { .. }) => format!("video{}/{index}", angle(rendition)),
    }
}

fn angle(rendition: &Rendition) -> String {
    match &rendition.kind {
        RenditionKind::Video { name } => format!("/{name}"),
        RenditionKind::Main { .. } | RenditionKind::Audio { .. } => String::new(),
    }
}

fn container(media: &MediaFile) -> &'static str {
    let pictures = media.tracks.iter().any(|track| matches!(track.essence, Essence::Video { .. }));
    match (media.container, pictures) {
        (Container::TransportStream, _) => "video/mp2t",
        (Container::FragmentedMp4, true) => "video/mp4",
        (Container::FragmentedMp4, false) => "audio/mp4",
    }
}

/// Where a track is in its container (TAMS container-mapping schema).
fn mapping(container: Container, track: &Track, index: usize, format_index: u32) -> Value {
    let mut mapping = json!({ "track_index": index, "format_track_index": format_index });
    match container {
        Container::TransportStream => mapping["mp2ts_container"] = json!({ "pid": track.number }),
        Container::FragmentedMp4 => mapping["isobmff_container"] = json!({ "track_id": track.number }),
    }
    mapping
}

fn essence(track: &Track) -> Result<Map<String, Value>, &'static str> {
    let (format, codec, parameters) = match &track.essence {
        Essence::Video { codec, parameters } => {
            let parameters =
                parameters.as_ref().ok_or("the picture size: the first media segment has no sequence parameter set")?;
            let codec = match codec {
                VideoCodec::H264 => "video/h264",
                VideoCodec::H265 => "video/h265",
            };
            (VIDEO, codec, video_parameters(parameters, track.frame_rate()))
        }
        Essence::Audio(parameters) => (AUDIO, "audio/aac", audio_parameters(parameters)),
    };
    let mut essence = Map::new();
    essence.insert("format".to_owned(), format.into());
    essence.insert("codec".to_owned(), codec.into());
    essence.insert("essence_parameters".to_owned(), parameters);
    Ok(essence)
}

fn video_parameters(parameters: &VideoParameters, frame_rate: Option<FrameRate>) -> Value {
    let mut all = json!({
        "frame_width": parameters.width,
        "frame_height": parameters.height,
        "bit_depth": parameters.bit_depth,
        "component_type": "YCbCr",
    });
    match frame_rate {
        Some(rate) => {
            all["frame_rate"] = json!({ "numerator": rate.numerator(), "denominator": rate.denominator() });
        }
        None => all["vfr"] = true.into(),
    }
    // Which field of an interlaced frame comes first is not in the parameter set.
    if parameters.progressive {
        all["interlace_mode"] = "progressive".into();
    }
    if let Some((width, height)) = parameters.pixel_aspect_ratio {
        all["pixel_aspect_ratio"] = json!({ "numerator": width, "denominator": height });
    }
    if let Some((horizontal, vertical)) = parameters.chroma_subsampling {
        all["horiz_chroma_subs"] = horizontal.into();
        all["vert_chroma_subs"] = vertical.into();
    }
    // Code points of ITU-T H.273, tables 2 and 3.
    if let Some((primaries, transfer)) = parameters.colour {
        let colorspace = match primaries {
            1 => Some("BT709"),
            5 | 6 => Some("BT601"),
            9 => Some("BT2020"),
            _ => None,
        };
        let characteristic = match transfer {
            1 | 6 | 14 | 15 => Some("SDR"),
            16 => Some("PQ"),
            18 => Some("HLG"),
            _ => None,
        };
        if let Some(colorspace) = colorspace {
            all["colorspace"] = colorspace.into();
        }
        if let Some(characteristic) = characteristic {
            all["transfer_characteristic"] = characteristic.into();
        }
    }
    if let Some([profile, flags, level]) = parameters.avc {
        all["avc_parameters"] = json!({ "profile": profile, "level": level, "flags": flags });
    }
    all
}

fn audio_parameters(parameters: &AudioParameters) -> Value {
    json!({
        "sample_rate": parameters.sample_rate,
        "channels": parameters.channels,
        "codec_parameters": { "coded_frame_size": 1024, "mp4_oti": parameters.object_type },
    })
}

/// How long the first media segment is, in seconds.
fn segment_duration(reference: &Track, frame_rate: Option<FrameRate>) -> Option<(u32, u32)> {
    match &reference.essence {
        Essence::Video { .. } => frame_rate?.duration(u32::try_from(reference.presentation_times.len()).ok()?),
        Essence::Audio(_) => {
            let length = reference.last() + reference.tail(None)? - reference.start();
            let milliseconds = u32::try_from((length + 500_000) / 1_000_000).ok()?;
            FrameRate::new(1000, 1)?.duration(milliseconds)
        }
    }
}
