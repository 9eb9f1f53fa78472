//! HLS playlists (RFC 8216): what they name and in which order. Their durations are not used.

use m3u8_rs::{AlternativeMediaType, ByteRange, KeyMethod, MasterPlaylist, MediaPlaylist, Playlist};

use super::IngestError;
use super::input::{Input, Location, ONLY, Piece, Place, Rendition, RenditionKind};
use super::piece::download_to_memory;
use crate::client::Downloader;

/// No playlist is longer; a day of one-second segments is a tenth of it.
const LONGEST_PLAYLIST: u64 = 64 << 20;

/// Reads an HLS playlist and every playlist it names.
pub async fn read(location: &Location, downloader: &Downloader) -> Result<Input, IngestError> {
    let mut notes = Vec::new();
    let renditions = match read_playlist(location, downloader).await? {
        Playlist::MediaPlaylist(playlist) => vec![Rendition {
            key: ONLY.to_owned(),
            kind: RenditionKind::Main { audio_group: None },
            pieces: playlist_pieces(location, playlist, &mut notes)?,
        }],
        Playlist::MasterPlaylist(master) => from_master(location, master, downloader, &mut notes).await?,
    };
    Ok(Input { identity: location.identity()?, label: location.stem(), renditions, notes })
}

async fn from_master(
    location: &Location,
    master: MasterPlaylist,
    downloader: &Downloader,
    notes: &mut Vec<String>,
) -> Result<Vec<Rendition>, IngestError> {
    let mut variants: Vec<(String, String, RenditionKind)> = Vec::new();
    for variant in master.variants {
        if variant.is_i_frame {
            notes.push(format!("trick-play playlist {} is left out", variant.uri));
        } else {
            let kind = RenditionKind::Main { audio_group: variant.audio };
            variants.push((variant.uri.clone(), variant.uri, kind));
        }
    }
    let mut alternatives = Vec::new();
    for alternative in master.alternatives {
        let name = alternative.name;
        let key = format!("{}/{}/{name}", alternative.media_type, alternative.group_id);
        match (alternative.media_type, alternative.uri) {
            // Without a URI it is inside the variants.
            (AlternativeMediaType::Audio | AlternativeMediaType::Video, None) => {}
            (AlternativeMediaType::Audio, Some(uri)) => {
                let kind = RenditionKind::Audio { group: alternative.group_id, name, language: alternative.language };
                alternatives.push((uri, key, kind));
            }
            (AlternativeMediaType::Video, Some(uri)) => alternatives.push((uri, key, RenditionKind::Video { name })),
            (kind, _) => {
                notes.push(format!("{kind} rendition {name} is left out: only picture and sound are ingested"))
            }
        }
    }
    // Sound is often listed a second time as a variant without picture; it is the rendition.
    variants.retain(|(uri, ..)| alternatives.iter().all(|(alternative, ..)| alternative != uri));
    let mut seen = Vec::new();
    let mut renditions = Vec::new();
    for (uri, key, kind) in variants.into_iter().chain(alternatives) {
        let media = location.resolve(&uri)?;
        if seen.contains(&media) {
            continue;
        }
        let Playlist::MediaPlaylist(playlist) = read_playlist(&media, downloader).await? else {
            let reason = "a master playlist inside a master playlist".to_owned();
            return Err(IngestError::Playlist { location: media.to_string(), reason });
        };
        let pieces = playlist_pieces(&media, playlist, notes)?;
        renditions.push(Rendition { key, kind, pieces });
        seen.push(media);
    }
    if renditions.is_empty() {
        let reason = "it names no media playlist".to_owned();
        return Err(IngestError::Playlist { location: location.to_string(), reason });
    }
    Ok(renditions)
}

async fn read_playlist(location: &Location, downloader: &Downloader) -> Result<Playlist, IngestError> {
    let bytes = match location {
        Location::File(path) => {
            tokio::fs::read(path).await.map_err(|source| IngestError::File { path: path.clone(), source })?
        }
        Location::Url(url) => download_to_memory(url, None, LONGEST_PLAYLIST, downloader).await?,
    };
    m3u8_rs::parse_playlist_res(&bytes).map_err(|_| IngestError::Playlist {
        location: location.to_string(),
        reason: "it cannot be read as an HLS playlist".to_owned(),
    })
}

fn playlist_pieces(
    location: &Location,
    playlist: MediaPlaylist,
    notes: &mut Vec<String>,
) -> Result<Vec<Piece>, IngestError> {
    let refuse = |reason: &str| IngestError::Playlist { location: location.to_string(), reason: reason.to_owned() };
    if !playlist.end_list {
        return Err(refuse("it is live (no EXT-X-ENDLIST); only finished playlists are ingested"));
    }
    let mut initialization: Option<Place> = None;
    let mut pieces: Vec<Piece> = Vec::with_capacity(playlist.segments.len());
    let mut discontinuity = false;
    for segment in playlist.segments {
        // EXT-X-KEY and EXT-X-MAP hold until the next of their kind.
        if segment.key.is_some_and(|key| key.method != KeyMethod::None) {
            return Err(refuse("its media is encrypted (EXT-X-KEY)"));
        }
        if let Some(map) = segment.map {
            let range = map.byte_range.map(|range| (range.offset.unwrap_or(0), range.length));
            initialization = Some(Place { location: location.resolve(&map.uri)?, range });
        }
        discontinuity |= segment.discontinuity;
        if segment.unknown_tags.iter().any(|tag| tag.tag == "X-GAP") {
            notes.push(format!("{} is marked as missing (EXT-X-GAP)", segment.uri));
            continue;
        }
        let media = location.resolve(&segment.uri)?;
        let range = segment.byte_range.map(|range| {
            let before = pieces.last().filter(|piece| piece.place.location == media);
            byte_range(&range, before.and_then(|piece| piece.place.range))
        });
        pieces.push(Piece {
            place: Place { location: media, range },
            initialization: initialization.clone(),
            discontinuity: std::mem::take(&mut discontinuity),
            declared_seconds: Some(segment.duration),
        });
    }
    if pieces.is_empty() { Err(refuse("it names no media segments")) } else { Ok(pieces) }
}

/// A byte range without offset begins where the one before it ended (RFC 8216, 4.3.2.2).
fn byte_range(range: &ByteRange, before: Option<(u64, u64)>) -> (u64, u64) {
    let following = before.map_or(0, |(offset, length)| offset.saturating_add(length));
    (range.offset.unwrap_or(following), range.length)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    async fn read_files(files: &[(&str, &str)]) -> Result<Input, IngestError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        read(&Location::File(folder.path().join(files[0].0)), &Downloader::new()).await
    }

    fn name(place: &Place) -> &str {
        match &place.location {
            Location::File(path) => path.file_name().and_then(|name| name.to_str()).unwrap(),
            Location::Url(url) => url.as_str(),
        }
    }

    #[tokio::test]
    async fn byte_ranges_maps_and_discontinuities_reach_the_segments_they_are_for() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"700@0\"\n\
            #EXTINF:2,\n#EXT-X-BYTERANGE:100@700\nall.mp4\n#EXTINF:2,\n#EXT-X-BYTERANGE:50\nall.mp4\n\
            #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"j.mp4\"\n#EXT-X-GAP\n#EXTINF:2,\nlost.m4s\n#EXTINF:2,\nhttps://example.com/a%20b.m4s?x=1\n\
            #EXT-X-ENDLIST\n";
        let input = read_files(&[("list.m3u8", text)]).await.unwrap();
        let pieces = &input.renditions[0].pieces;
        let ranges: Vec<_> = pieces.iter().map(|piece| piece.place.range).collect();
        assert_eq!(ranges, [Some((700, 100)), Some((800, 50)), None]);
        let maps: Vec<_> = pieces.iter().map(|piece| name(piece.initialization.as_ref().unwrap())).collect();
        assert_eq!(maps, ["i.mp4", "i.mp4", "j.mp4"]);
        assert_eq!(pieces.iter().map(|piece| piece.discontinuity).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(name(&pieces[2].place), "https://example.com/a%20b.m4s?x=1");
        assert_eq!(input.notes.len(), 1);
    }

    #[tokio::test]
    async fn a_master_playlist_gives_every_variant_and_every_separate_sound_once() {
        let media = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n";
        let master = "#EXTM3U\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"snd\",NAME=\"English\",LANGUAGE=\"en\",URI=\"en.m3u8\"\n\
            #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"sub\",NAME=\"Text\",URI=\"text.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"snd\"\nhigh.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"snd\"\nlow.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"snd\"\nen.m3u8\n\
            #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"frames.m3u8\"\n";
        let input = read_files(&[("m.m3u8", master), ("high.m3u8", media), ("low.m3u8", media), ("en.m3u8", media)])
            .await
            .unwrap();
        let titles: Vec<_> = input.renditions.iter().map(|rendition| rendition.title().unwrap()).collect();
        assert_eq!(titles, ["high", "low", "English"]);
        assert_eq!(input.notes.len(), 2);
    }

    #[tokio::test]
    async fn encrypted_live_empty_and_broken_playlists_are_refused_with_the_reason() {
        let list = |middle: &str, end: &str| format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{middle}{end}");
        let key = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:2,\na.ts\n";
        for (text, reason) in [
            (list(key, "#EXT-X-ENDLIST\n"), "encrypted"),
            (list("#EXTINF:2,\na.ts\n", ""), "live"),
            (list("", "#EXT-X-ENDLIST\n"), "no media segments"),
            ("<html>".to_owned(), "cannot be read"),
        ] {
            let error = read_files(&[("list.m3u8", &text)]).await.unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_playlist_from_elsewhere_cannot_name_files_of_this_machine() {
        let remote = Location::Url("http://example.com/a/list.m3u8".parse().unwrap());
        assert!(remote.resolve("file:///etc/passwd").is_err());
        assert_eq!(name(&Place { location: remote.resolve("/b.ts").unwrap(), range: None }), "http://example.com/b.ts");
        let local = Location::File(Path::new("/media/list.m3u8").to_owned());
        assert_eq!(local.resolve("a%20b.ts").unwrap(), Location::File(Path::new("/media/a b.ts").to_owned()));
    }
}
