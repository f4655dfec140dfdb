//! Reads a description: strictly with `sdp-types`, else by a scan that takes what it understands.
//!
//! The scan is there for origin identifiers of more than 64 bits, bytes that are not UTF-8 in a
//! session name, repeated lines and the like, which some access gateways send and which say nothing
//! about the audio.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{Codec, Direction};

/// What matters to a telephone of a session description.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) lines: Vec<Line>,
}

/// Names and values of `a=` rows.
type Attributes = Vec<(String, String)>;

/// One `m=` line with the attributes that hold for it.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// In lower case.
    pub(crate) media: String,
    /// 0 when the line is switched off or its port makes no sense.
    pub(crate) port: u16,
    pub(crate) proto: String,
    pub(crate) formats: String,
    pub(crate) place: Place,
    attributes: Attributes,
    /// Those of the session, shared by all lines: thousands of both must not make millions.
    common: Arc<Attributes>,
}

/// What a `c=` line says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Place {
    #[default]
    Missing,
    At(IpAddr),
    /// A host name, a group, or nothing that can be read.
    Elsewhere,
}

/// A payload type and what it carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Format {
    pub(crate) payload_type: u8,
    pub(crate) codec: Codec,
}

/// A description with more `m=` lines is not for a telephone.
const LINES_MAX: usize = 32;

/// Nor is one with more rows in all, or more bytes. Browsers write about two hundred and 8,000.
const ROWS_MAX: usize = 512;
const BYTES_MAX: usize = 32_768;

/// More formats on one line than there are payload types say nothing.
const FORMATS_MAX: usize = 128;

impl Description {
    /// `None` when not even an `m=` line or a version is found.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // Some gateways end the body with NUL, which no grammar knows.
        let text = text.trim_matches(|it: char| it == '\0' || it.is_whitespace());
        if text.len() > BYTES_MAX || rows(text).nth(ROWS_MAX).is_some() {
            return None;
        }
        let it = strict(text).or_else(|| scan(text))?;
        (it.lines.len() <= LINES_MAX).then_some(it)
    }
}

impl Line {
    /// Audio that is not switched off.
    pub(crate) fn is_live_audio(&self) -> bool {
        self.media == "audio" && self.port != 0
    }

    /// The formats we know of, in the peer's order of preference.
    pub(crate) fn codecs(&self) -> impl Iterator<Item = Format> + '_ {
        let maps = self.rtpmaps();
        self.payload_types().filter_map(move |payload_type| {
            let codec = match maps.get(&payload_type) {
                Some((name, rate)) => Codec::of_rtpmap(name, rate),
                None => Codec::of_static(payload_type),
            };
            Some(Format { payload_type, codec: codec? })
        })
    }

    /// The payload type of telephone-event at a clock rate (RFC 4733 §2.4.1).
    pub(crate) fn telephone_event(&self, clock: u32) -> Option<u8> {
        let maps = self.rtpmaps();
        self.payload_types().find(|it| {
            maps.get(it).is_some_and(|(name, rate)| {
                name.eq_ignore_ascii_case("telephone-event") && rate.parse() == Ok(clock)
            })
        })
    }

    /// The direction as the writer of the description sees it; `sendrecv` unless said.
    pub(crate) fn direction(&self) -> Direction {
        let all =
            [Direction::Both, Direction::SendOnly, Direction::ReceiveOnly, Direction::Inactive];
        self.attributes()
            .find_map(|(name, _)| {
                all.into_iter().find(|it| name.eq_ignore_ascii_case(it.attribute()))
            })
            .unwrap_or(Direction::Both)
    }

    /// Milliseconds of audio the writer wishes in one packet (RFC 8866 §6.4); 20 when it is not
    /// said or nothing a telephone sends.
    pub(crate) fn ptime_ms(&self) -> u32 {
        let of = |name: &str| {
            let value = self.value(name)?;
            value.trim().parse::<u32>().ok().filter(|it| (10..=200).contains(it))
        };
        let wished = of("ptime").unwrap_or(20);
        of("maxptime").map_or(wished, |max| wished.min(max))
    }

    /// Where the writer receives RTCP: a port and perhaps an address (RFC 3605), else the port
    /// after RTP's (RFC 3550 §11).
    pub(crate) fn rtcp(&self, rtp: SocketAddr) -> SocketAddr {
        let said = self.value("rtcp").and_then(|it| {
            let mut parts = it.split_ascii_whitespace();
            let port = parts.next()?.parse().ok()?;
            let ip = match parts.nth(2).map(Place::of) {
                Some(Place::At(ip)) => ip,
                Some(Place::Missing | Place::Elsewhere) | None => rtp.ip(),
            };
            Some(SocketAddr::new(ip, port))
        });
        said.unwrap_or(SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1)))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    fn payload_types(&self) -> impl Iterator<Item = u8> + '_ {
        self.formats
            .split_ascii_whitespace()
            .filter_map(|it| it.parse::<u8>().ok())
            .filter(|it| *it < 128)
            .take(FORMATS_MAX)
    }

    /// The line's own come before the session's, so that a search finds them first.
    fn attributes(&self) -> impl Iterator<Item = &(String, String)> {
        self.attributes.iter().chain(self.common.iter())
    }

    /// Encoding name and clock rate of each `a=rtpmap:<type> <name>/<rate>[/<channels>]`; the first
    /// of a type counts. Read in one go: a hundred formats must not search hundreds of rows each.
    fn rtpmaps(&self) -> BTreeMap<u8, (&str, &str)> {
        let mut all = BTreeMap::new();
        for (name, value) in self.attributes() {
            if !name.eq_ignore_ascii_case("rtpmap") {
                continue;
            }
            let Some((number, encoding)) = value.trim().split_once([' ', '\t']) else { continue };
            let Ok(number) = number.parse() else { continue };
            let mut parts = encoding.trim().split('/').map(str::trim);
            if let Some(name) = parts.next() {
                all.entry(number).or_insert((name, parts.next().unwrap_or("8000")));
            }
        }
        all
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// The values of all `a=` rows of this name, the line's own first.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.attributes()
            .filter(move |(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// The description as `sdp-types` reads it.
fn strict(text: &str) -> Option<Description> {
    let session = sdp_types::Session::parse(text.as_bytes()).ok()?;
    let of = |it: &sdp_types::Connection| Place::of(&it.connection_address);
    let common = session.connection.as_ref().map_or(Place::Missing, of);
    let pairs = |from: &[sdp_types::Attribute]| {
        from.iter()
            .map(|it| (it.attribute.trim().to_owned(), it.value.clone().unwrap_or_default()))
            .collect::<Attributes>()
    };
    let shared = Arc::new(pairs(&session.attributes));
    let lines = session.medias.iter().map(|it| Line {
        media: it.media.to_ascii_lowercase(),
        port: it.port,
        proto: it.proto.clone(),
        formats: it.fmt.clone(),
        place: it.connections.first().map_or(common, of),
        attributes: pairs(&it.attributes),
        common: Arc::clone(&shared),
    });
    Some(Description { lines: lines.collect() })
}

/// Takes the `m=`, `c=` and `a=` lines and passes over everything else.
fn scan(text: &str) -> Option<Description> {
    let mut common: (Place, Attributes) = (Place::Missing, Vec::new());
    let mut is_sdp = false;
    let mut lines: Vec<Line> = Vec::new();
    for row in rows(text) {
        let Some((kind, value)) = row.split_once('=') else { continue };
        let value = value.trim_matches(|it: char| it == '\0' || it.is_whitespace());
        match kind.trim() {
            "v" => is_sdp = true,
            "m" => lines.extend(media(value)),
            "c" => {
                let found =
                    value.split_ascii_whitespace().nth(2).map_or(Place::Elsewhere, Place::of);
                let place = lines.last_mut().map_or(&mut common.0, |it| &mut it.place);
                *place = place.or(found);
            }
            "a" => {
                let (name, value) = value.split_once(':').unwrap_or((value, ""));
                let pair = (name.trim().to_owned(), value.trim().to_owned());
                lines.last_mut().map_or(&mut common.1, |it| &mut it.attributes).push(pair);
            }
            _ => {}
        }
    }
    let shared = Arc::new(common.1);
    for line in &mut lines {
        line.place = line.place.or(common.0);
        line.common = Arc::clone(&shared);
    }
    (is_sdp || !lines.is_empty()).then_some(Description { lines })
}

/// What stands between line breaks of any kind, without empty rows.
fn rows(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\r', '\n']).map(str::trim).filter(|it| !it.is_empty())
}

/// `<media> <port>[/<number>] <proto> <format> …`
fn media(value: &str) -> Option<Line> {
    let mut parts = value.split_ascii_whitespace();
    let media = parts.next()?.to_ascii_lowercase();
    let port = parts.next()?.split('/').next()?.parse().unwrap_or(0);
    let proto = parts.next()?.to_owned();
    let formats = parts.collect::<Vec<_>>().join(" ");
    Some(Line { media, port, proto, formats, ..Line::default() })
}

impl Place {
    /// The suffixes of multicast addresses are cut off (RFC 8866 §5.7).
    fn of(text: &str) -> Self {
        let first = text.split('/').next().unwrap_or_default().trim();
        let Ok(address) = first.parse::<IpAddr>() else { return Self::Elsewhere };
        let broadcast = matches!(address, IpAddr::V4(it) if it.is_broadcast());
        // Nobody may aim us at a group.
        if address.is_multicast() || broadcast { Self::Elsewhere } else { Self::At(address) }
    }

    const fn or(self, other: Self) -> Self {
        match self {
            Self::Missing => other,
            Self::At(_) | Self::Elsewhere => self,
        }
    }
}
