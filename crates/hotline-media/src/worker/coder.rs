//! What a leg is sent and what it says, between its codec and linear samples.
//!
//! G.711 and G.722 allocate nothing. Opus does inside of its library, in every frame that is coded
//! ([ADR 0019](../../../../docs/adr/0019-opus-in-rust.md)); nothing else here does after a coder
//! was made, which an agreement with a peer asks for and never a packet.

use hotline_dsp::{
    FRAME, G722Decoder, G722Encoder, OPUS_SAMPLES_MAX, OpusConfig, OpusDecoder, OpusEncoder,
    g711::{
        ALAW_TO_ULAW, alaw_to_linear, alaw_to_linear_into, linear_to_alaw, linear_to_ulaw,
        transcode_into, ulaw_to_linear_into,
    },
};
use hotline_sdp::{Codec, Passed};

/// Bytes of the longest 20 ms that we send: Opus at 24 kbit/s, were it to spend all it may at once.
pub(crate) const SPEECH_MAX: usize = 400;

/// Samples of 2.5 ms, the shortest piece that Opus conceals.
const OPUS_PIECE: usize = 20;

/// Makes what a leg is sent.
#[derive(Debug, Default)]
pub(crate) enum Encoder {
    #[default]
    Alaw,
    Ulaw,
    G722(Box<G722Encoder>),
    Opus(Box<OpusEncoder>),
    /// A codec that is only passed on: of ours there is silence to hear, always the same 20 ms.
    Silence(&'static [u8]),
}

/// Two frames of G.729 with the pair of gains that decodes to nothing but zeros, however loud it
/// was before: of all 128 pairs the only one.
const G729_SILENCE: &[u8] = &[
    0x78, 0x52, 0x80, 0xA0, 0x00, 0xFA, 0xC2, 0x00, 0x07, 0xD6, 0x78, 0x52, 0x80, 0xA0, 0x00, 0xFA,
    0xC2, 0x00, 0x07, 0xD6,
];

/// A frame of GSM full rate whose four blocks have the least amplitude there is: 16 of 32,768.
const GSM_SILENCE: &[u8] = &[
    0xD8, 0x20, 0xA2, 0xE1, 0x5A, 0x50, 0x00, 0x49, 0x24, 0x92, 0x49, 0x24, 0x50, 0x00, 0x49, 0x24,
    0x92, 0x49, 0x24, 0x50, 0x00, 0x49, 0x24, 0x92, 0x49, 0x24, 0x50, 0x00, 0x49, 0x24, 0x92, 0x49,
    0x24,
];

impl Encoder {
    pub(crate) fn new(codec: Codec, complexity: u8) -> Self {
        match codec {
            Codec::Pcma => Self::Alaw,
            Codec::Pcmu => Self::Ulaw,
            Codec::G722 => Self::G722(Box::default()),
            Codec::Opus => {
                let config = OpusConfig { complexity, ..OpusConfig::default() };
                OpusEncoder::new(config).map_or(Self::Silence(&[]), |it| Self::Opus(Box::new(it)))
            }
            Codec::Passed(Passed::G729) => Self::Silence(G729_SILENCE),
            Codec::Passed(Passed::Gsm) => Self::Silence(GSM_SILENCE),
        }
    }

    /// Codes 20 ms to the front of `to`. Returns how many bytes it takes; 0 when there is nothing
    /// to send.
    pub(crate) fn encode(&mut self, frame: &[i16; FRAME], to: &mut [u8; SPEECH_MAX]) -> usize {
        match self {
            Self::Alaw => by_sample(frame, to, linear_to_alaw),
            Self::Ulaw => by_sample(frame, to, linear_to_ulaw),
            Self::G722(it) => {
                it.encode(frame, to);
                FRAME
            }
            Self::Opus(it) => it.encode(frame, to).unwrap_or(0),
            Self::Silence(it) => copied(it, to),
        }
    }

    /// The same of 20 ms of a prompt, which is A-law.
    pub(crate) fn encode_alaw(&mut self, frame: &[u8; FRAME], to: &mut [u8; SPEECH_MAX]) -> usize {
        match self {
            Self::Alaw => copied(frame, to),
            Self::Ulaw => {
                transcode_into(&ALAW_TO_ULAW, frame, to);
                FRAME
            }
            Self::G722(_) | Self::Opus(_) => self.encode(&frame.map(alaw_to_linear), to),
            Self::Silence(it) => copied(it, to),
        }
    }

    /// What the load of the worker leaves for Opus; other codecs always cost the same.
    pub(crate) fn set_complexity(&mut self, complexity: u8) {
        if let Self::Opus(it) = self {
            // Above 10 alone it is refused.
            let _refused = it.set_complexity(complexity);
        }
    }
}

fn copied(from: &[u8], to: &mut [u8]) -> usize {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    from.len()
}

fn by_sample(frame: &[i16; FRAME], to: &mut [u8], law: impl Fn(i16) -> u8) -> usize {
    for (to, sample) in to.iter_mut().zip(frame) {
        *to = law(*sample);
    }
    FRAME
}

/// Makes linear samples of what a leg says.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// Of either law, packet by packet: after an offer of both a peer may send either.
    G711,
    G722(Box<G722Decoder>),
    Opus(Box<OpusDecoder>),
    /// Nothing is heard of a codec that is only passed on.
    Nothing,
}

impl Decoder {
    pub(crate) fn new(codec: Codec) -> Self {
        match codec {
            Codec::Pcma | Codec::Pcmu => Self::G711,
            Codec::G722 => Self::G722(Box::default()),
            Codec::Opus => OpusDecoder::new().map_or(Self::Nothing, |it| Self::Opus(Box::new(it))),
            Codec::Passed(_) => Self::Nothing,
        }
    }

    /// Whether it understands packets of a codec.
    pub(crate) const fn takes(&self, codec: Codec) -> bool {
        match self {
            Self::G711 => codec.is_g711(),
            Self::G722(_) => matches!(codec, Codec::G722),
            Self::Opus(_) => matches!(codec, Codec::Opus),
            Self::Nothing => false,
        }
    }

    /// Decodes a packet, piece by piece; each piece is handed to `hear`. `ulaw` says which law.
    pub(crate) fn decode(&mut self, payload: &[u8], ulaw: bool, mut hear: impl FnMut(&[i16])) {
        match self {
            Self::G711 => {
                let law = if ulaw { ulaw_to_linear_into } else { alaw_to_linear_into };
                let mut decoded = [0; FRAME];
                for part in payload.chunks(FRAME) {
                    law(part, &mut decoded);
                    hear(decoded.get(..part.len()).unwrap_or_default());
                }
            }
            Self::G722(it) => {
                let mut decoded = [0; OPUS_SAMPLES_MAX];
                for part in payload.chunks(OPUS_SAMPLES_MAX) {
                    it.decode(part, &mut decoded);
                    hear(decoded.get(..part.len()).unwrap_or_default());
                }
            }
            Self::Opus(it) => {
                let mut decoded = [0; OPUS_SAMPLES_MAX];
                // What is not Opus is not heard; the buffer finds a gap and it is concealed.
                let n = it.decode(payload, &mut decoded).unwrap_or(0);
                hear(decoded.get(..n).unwrap_or_default());
            }
            Self::Nothing => {}
        }
    }

    /// Makes up `samples` that were lost, if this codec knows how: Opus takes them from the copy
    /// that the packet behind them carries (in-band FEC), else goes on from what it decoded.
    /// `false` when somebody else has to.
    pub(crate) fn conceal(
        &mut self,
        samples: usize,
        next: Option<&[u8]>,
        mut hear: impl FnMut(&[i16]),
    ) -> bool {
        let Self::Opus(it) = self else { return false };
        let mut decoded = [0; OPUS_SAMPLES_MAX];
        let Some(lost) = decoded.get_mut(..samples) else { return false };
        if samples == 0 || !samples.is_multiple_of(OPUS_PIECE) {
            return false;
        }
        match it.conceal(next, lost) {
            Ok(n) if n == samples => {
                hear(lost);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }
}

/// What a leg of a codec costs, in legs of G.711 that are relayed: coding 50 frames a second each
/// way beside receiving and sending them, which is cheaper where all legs share a socket.
/// An Opus leg counts as 6 plain calls of two legs, or as 9.
pub(crate) const fn weight(codec: Codec, sk_lookup: bool) -> usize {
    match (codec, sk_lookup) {
        (Codec::Opus, false) => 12,
        (Codec::Opus, true) => 18,
        (Codec::G722, false) => 3,
        (Codec::G722, true) => 4,
        (Codec::Pcma | Codec::Pcmu | Codec::Passed(_), _) => 1,
    }
}

/// What the load leaves of the complexity that was asked for; `busy` is the worker's busy share in
/// percent. Complexity 0 costs two thirds of 3 and half of 5 (`benches/README.md`).
pub(crate) const fn complexity_under(busy: u32, wanted: u8) -> u8 {
    let most = match busy {
        0..60 => 10,
        60..70 => 3,
        70..80 => 1,
        _ => 0,
    };
    if wanted < most { wanted } else { most }
}

#[cfg(test)]
mod tests {
    use hotline_dsp::{Tone, strength};

    use super::*;

    /// A tone through an encoder and the decoder of the same codec.
    fn through(codec: Codec, prompt: bool) -> Vec<i16> {
        let (mut encoder, mut decoder) = (Encoder::new(codec, 3), Decoder::new(codec));
        let (mut tone, mut heard) = (Tone::new(700, 8_000), Vec::new());
        for _ in 0..25 {
            let (mut frame, mut packet) = ([0; FRAME], [0; SPEECH_MAX]);
            tone.fill(&mut frame);
            let n = if prompt {
                encoder.encode_alaw(&frame.map(linear_to_alaw), &mut packet)
            } else {
                encoder.encode(&frame, &mut packet)
            };
            decoder.decode(&packet[..n], codec == Codec::Pcmu, |it| heard.extend(it));
        }
        heard
    }

    #[test]
    fn speech_and_prompts_are_heard_through_every_codec_that_is_spoken() {
        for codec in Codec::ALL.into_iter().filter(|it| it.is_spoken()) {
            for prompt in [false, true] {
                let heard = through(codec, prompt);
                assert_eq!(heard.len(), 25 * FRAME, "{codec}");
                assert!(strength(&heard[1_600..], 700) > 0.9, "{codec}");
            }
        }
    }

    /// The fields of both codecs' frames as RFC 3551 §4.5.6 and §4.5.8 lay them out, bit by bit.
    #[test]
    fn what_is_only_passed_on_has_silence_whose_frames_are_valid_and_whose_gains_are_least() {
        let bits = |passed| -> String {
            let (mut encoder, mut packet) = (Encoder::new(Codec::Passed(passed), 3), [9; 400]);
            let loud = [30_000; FRAME];
            let n = encoder.encode(&loud, &mut packet);
            let prompt = encoder.encode_alaw(&[0x2A; FRAME], &mut [0; SPEECH_MAX]);
            assert_eq!(prompt, n);
            packet[..n].iter().map(|it| format!("{it:08b}")).collect::<Vec<_>>().concat()
        };
        let of = |bits: &str| u32::from_str_radix(bits, 2).unwrap();
        let g729 = bits(Passed::G729);
        assert_eq!(g729.len(), 160);
        for frame in [&g729[..80], &g729[80..]] {
            // Of the pitch lag's upper six bits and their parity an odd number is set.
            assert_eq!(frame[18..24].matches('1').count() + of(&frame[26..27]) as usize, 1);
            assert_eq!([of(&frame[44..47]), of(&frame[47..51])], [5, 6], "gains of the first half");
            assert_eq!([of(&frame[73..76]), of(&frame[76..80])], [5, 6], "and of the second");
        }
        let gsm = bits(Passed::Gsm);
        assert_eq!((gsm.len(), of(&gsm[..4])), (264, 0xD));
        for block in 0..4 {
            let at = 4 + 36 + block * 56 + 7 + 2 + 2;
            assert_eq!(of(&gsm[at..at + 6]), 0, "amplitude of block {block}");
        }
    }

    #[test]
    fn load_takes_from_opus_what_it_needs_and_never_adds() {
        let of = |wanted| [0, 59, 60, 70, 80, 100].map(|busy| complexity_under(busy, wanted));
        assert_eq!(of(10), [10, 10, 3, 1, 0, 0]);
        assert_eq!(of(3), [3, 3, 3, 1, 0, 0]);
        assert_eq!(of(0), [0; 6]);
    }

    #[test]
    fn opus_alone_conceals_by_itself_and_only_whole_pieces() {
        let mut opus = Decoder::new(Codec::Opus);
        assert!(opus.conceal(FRAME, None, |it| assert_eq!(it.len(), FRAME)));
        assert!(opus.conceal(40, None, |it| assert_eq!(it.len(), 40)));
        assert!(!opus.conceal(0, None, |_| ()) && !opus.conceal(30, None, |_| ()));
        assert!(!opus.conceal(OPUS_SAMPLES_MAX + OPUS_PIECE, None, |_| ()));
        assert!(!opus.conceal(FRAME, Some(&[3]), |_| ()), "junk");
        for codec in [Codec::Pcma, Codec::G722] {
            assert!(!Decoder::new(codec).conceal(FRAME, None, |_| ()), "{codec}");
        }
    }
}
