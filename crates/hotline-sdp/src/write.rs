//! Writes a description.

use std::fmt::Write as _;

use crate::{Codec, Direction, Local, read::Line, secure::Rows};

/// One line of a description of ours.
pub(crate) enum Written<'a> {
    Audio(Audio<'a>),
    /// A line of the offer we do not take: port 0, formats as they came (RFC 3264 §6).
    Refused(&'a Line),
}

pub(crate) struct Audio<'a> {
    pub(crate) proto: &'a str,
    /// Payload types and codecs, best first.
    pub(crate) codecs: &'a [(u8, Codec)],
    /// Payload types and clock rates.
    pub(crate) telephone_events: &'a [(u8, u32)],
    /// RTP and RTCP at one port (RFC 5761).
    pub(crate) rtcp_mux: bool,
    pub(crate) direction: Direction,
    /// How it is protected.
    pub(crate) secure: Rows,
}

/// The whole description, with CRLF line ends.
pub(crate) fn description(local: &Local, lines: &[Written<'_>]) -> String {
    let Local { address, port, session, version, .. } = local;
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    let mut rows = vec![
        "v=0".to_owned(),
        format!("o=- {session} {version} IN {family} {address}"),
        "s=-".to_owned(),
        format!("c=IN {family} {address}"),
        "t=0 0".to_owned(),
    ];
    for line in lines {
        if let Written::Audio(audio) = line {
            rows.extend_from_slice(&audio.secure.session);
        }
    }
    for line in lines {
        match line {
            Written::Audio(audio) => audio.write(*port, &mut rows),
            Written::Refused(line) => {
                let formats = if line.formats.is_empty() { "0" } else { &line.formats };
                rows.push(format!("m={} 0 {} {formats}", line.media, line.proto));
                rows.extend(line.value("mid").map(|it| format!("a=mid:{it}")));
            }
        }
    }
    rows.iter().fold(String::new(), |mut out, row| {
        out.push_str(row);
        out.push_str("\r\n");
        out
    })
}

impl Audio<'_> {
    fn write(&self, port: u16, rows: &mut Vec<String>) {
        let mut media = format!("m=audio {port} {}", self.proto);
        let codecs = self.codecs.iter().map(|(it, _)| *it);
        for payload_type in codecs.chain(self.telephone_events.iter().map(|(it, _)| *it)) {
            // Writing to a string cannot fail.
            let _ok = write!(media, " {payload_type}");
        }
        rows.push(media);
        for (payload_type, codec) in self.codecs {
            let (name, rate) = (codec.name(), codec.rtpmap_rate());
            rows.push(format!("a=rtpmap:{payload_type} {name}/{rate}"));
            if let Some(fmtp) = codec.fmtp() {
                rows.push(format!("a=fmtp:{payload_type} {fmtp}"));
            }
        }
        for (payload_type, clock) in self.telephone_events {
            rows.push(format!("a=rtpmap:{payload_type} telephone-event/{clock}"));
            rows.push(format!("a=fmtp:{payload_type} 0-15"));
        }
        rows.push("a=ptime:20".to_owned());
        if self.rtcp_mux {
            rows.push("a=rtcp-mux".to_owned());
        }
        rows.push(format!("a={}", self.direction.attribute()));
        rows.extend_from_slice(&self.secure.rows);
    }
}
