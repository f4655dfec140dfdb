//! Reads a description: strictly with `sdp-types`, else by a scan that takes what it understands.
//!
//! The scan is there for origin identifiers of more than 64 bits, bytes that are not UTF-8 in a
//! session name, repeated lines and the like, which some access gateways send and which say nothing
//! about the audio.

use std::net::{IpAddr, SocketAddr};

use crate::{Codec, Direction};

/// What matters to a telephone of a session description.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) lines: Vec<Line>,
}

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
    pub(crate) attributes: Vec<(String, String)>,
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

/// A description with more lines is not for a telephone.
const LINES_MAX: usize = 32;

impl Description {
    /// `None` when not even an `m=` line or a version is found.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // Some gateways end the body with NUL, which no grammar knows.
        let text = text.trim_matches(|it: char| it == '\0' || it.is_whitespace());
        let it = strict(text).or_else(|| scan(text))?;
        (it.lines.len() <= LINES_MAX).then_some(it)
    }
}

impl Line {
    /// Audio over plain RTP that is not switched off.
    pub(crate) fn is_live_audio(&self) -> bool {
        self.media == "audio" && self.port != 0
    }

    pub(crate) fn is_plain_rtp(&self) -> bool {
        self.proto.eq_ignore_ascii_case("RTP/AVP") || self.proto.eq_ignore_ascii_case("RTP/AVPF")
    }

    /// The G.711 formats in the peer's order of preference.
    pub(crate) fn codecs(&self) -> impl Iterator<Item = Format> + '_ {
        self.payload_types().filter_map(|payload_type| {
            let is = |codec: Codec| match self.rtpmap(payload_type) {
                Some((name, rate)) => name.eq_ignore_ascii_case(codec.name()) && rate == "8000",
                None => payload_type == codec.static_payload_type(),
            };
            let codec = Codec::ALL.into_iter().find(|it| is(*it))?;
            Some(Format { payload_type, codec })
        })
    }

    /// The payload type of telephone-event at the clock rate of our codecs (RFC 4733 §2.4.1).
    pub(crate) fn telephone_event(&self) -> Option<u8> {
        self.payload_types().find(|it| {
            self.rtpmap(*it).is_some_and(|(name, rate)| {
                name.eq_ignore_ascii_case("telephone-event") && rate == "8000"
            })
        })
    }

    /// The direction as the writer of the description sees it; `sendrecv` unless said.
    pub(crate) fn direction(&self) -> Direction {
        let all =
            [Direction::Both, Direction::SendOnly, Direction::ReceiveOnly, Direction::Inactive];
        self.attributes
            .iter()
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
    }

    /// Encoding name and clock rate of `a=rtpmap:<type> <name>/<rate>[/<channels>]`.
    fn rtpmap(&self, payload_type: u8) -> Option<(&str, &str)> {
        self.attributes.iter().filter(|(name, _)| name.eq_ignore_ascii_case("rtpmap")).find_map(
            |(_, value)| {
                let (number, encoding) = value.trim().split_once([' ', '\t'])?;
                if number.parse() != Ok(payload_type) {
                    return None;
                }
                let mut parts = encoding.trim().split('/');
                Some((parts.next()?.trim(), parts.next().unwrap_or("8000").trim()))
            },
        )
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(it, _)| it.eq_ignore_ascii_case(name))
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
            .collect::<Vec<_>>()
    };
    let lines = session.medias.iter().map(|it| {
        let mut attributes = pairs(&it.attributes);
        // A media attribute comes before the session's, so that the search finds it first.
        attributes.extend(pairs(&session.attributes));
        Line {
            media: it.media.to_ascii_lowercase(),
            port: it.port,
            proto: it.proto.clone(),
            formats: it.fmt.clone(),
            place: it.connections.first().map_or(common, of),
            attributes,
        }
    });
    Some(Description { lines: lines.collect() })
}

/// Takes the `m=`, `c=` and `a=` lines and passes over everything else.
fn scan(text: &str) -> Option<Description> {
    let mut common: (Place, Vec<(String, String)>) = (Place::Missing, Vec::new());
    let mut is_sdp = false;
    let mut lines: Vec<Line> = Vec::new();
    for row in text.split(['\r', '\n']) {
        let Some((kind, value)) = row.trim().split_once('=') else { continue };
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
    for line in &mut lines {
        line.place = line.place.or(common.0);
        line.attributes.extend(common.1.iter().cloned());
    }
    (is_sdp || !lines.is_empty()).then_some(Description { lines })
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
