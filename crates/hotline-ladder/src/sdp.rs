//! What a line of a ladder says of a session description.

use hotline_sip::decode;

/// The first audio line (RFC 8866 §5.14).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Audio {
    /// Encoding names in the order of preference; a number where there is no name.
    pub codecs: Vec<String>,
    /// `sendrecv` unless said.
    pub direction: &'static str,
    /// Where the writer wants to hear, `address:port`; port 0 refuses audio.
    pub address: String,
}

/// Lists longer than this are cut.
const CODECS_MAX: usize = 16;

impl Audio {
    /// `None`: the body is no description or has no audio line.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let text = decode(body);
        let lines = text.lines().map(str::trim);
        let (mut common, mut own): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        let mut audio = None;
        let mut is_done = false;
        for line in lines {
            match (line.strip_prefix("m="), audio) {
                (Some(value), None) if value.starts_with("audio ") => audio = Some(value),
                (Some(_), Some(_)) => is_done = true,
                (Some(_), None) => is_done = false,
                (None, None) => common.push(line),
                (None, Some(_)) if !is_done => own.push(line),
                (None, Some(_)) => (),
            }
        }
        let mut parts = audio?.split_ascii_whitespace().skip(1);
        let port = parts.next()?;
        let formats = parts.skip(1);
        // What the stream says comes before what the session says.
        let all: Vec<&str> = own.into_iter().chain(common).collect();
        let codecs = formats.take(CODECS_MAX).map(|it| codec(it, &all)).collect();
        let host =
            all.iter().find_map(|it| it.strip_prefix("c=")).and_then(|it| it.split(' ').nth(2));
        let direction = all.iter().find_map(|it| {
            let it = it.strip_prefix("a=")?;
            ["sendrecv", "sendonly", "recvonly", "inactive"].into_iter().find(|name| *name == it)
        });
        Some(Self {
            codecs,
            direction: direction.unwrap_or("sendrecv"),
            address: format!("{}:{port}", host.unwrap_or("?")),
        })
    }
}

fn codec(format: &str, lines: &[&str]) -> String {
    let named = lines.iter().find_map(|it| {
        let (number, encoding) = it.strip_prefix("a=rtpmap:")?.split_once(' ')?;
        (number == format).then(|| encoding.split('/').next().unwrap_or_default().trim())
    });
    let well_known = match format {
        "0" => "PCMU",
        "8" => "PCMA",
        "9" => "G722",
        "18" => "G729",
        _ => format,
    };
    named.unwrap_or(well_known).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_told_in_few_words() {
        let body = b"v=0\r\no=- 1 1 IN IP4 h\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=sendonly\r\n\
            m=audio 40000 RTP/AVP 8 0 18 101\r\na=rtpmap:101 telephone-event/8000\r\n\
            m=video 0 RTP/AVP 96\r\na=inactive\r\n";
        let it = Audio::parse(body).unwrap();
        assert_eq!(it.codecs, ["PCMA", "PCMU", "G729", "telephone-event"]);
        assert_eq!((it.direction, &*it.address), ("sendonly", "192.0.2.1:40000"));
        assert_eq!(Audio::parse(b"Signal=5"), None);
        assert_eq!(Audio::parse(b"m=audio"), None);
    }
}
