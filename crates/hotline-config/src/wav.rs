//! The head of a WAV file: what a prompt must be, and how long it is.

/// Why a file cannot be a prompt; a Chinese half-sentence.
pub(crate) type Unfit = &'static str;

/// Length in milliseconds of a prompt the media plane can play: 8 kHz, one channel, A-law, µ-law or
/// 16-bit linear.
pub(crate) fn length_ms(bytes: &[u8]) -> Result<u32, Unfit> {
    if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return Err("不是 WAV 文件");
    }
    let mut rest = bytes.get(12..).unwrap_or_default();
    let mut frame_bytes = None;
    while let Some((head, body)) = rest.split_at_checked(8) {
        let size = usize::try_from(word(head, 4).unwrap_or(0)).unwrap_or(usize::MAX);
        match head.get(..4) {
            Some(b"fmt ") => frame_bytes = Some(frame_size(body)?),
            Some(b"data") => {
                let frame = frame_bytes.ok_or("缺少格式说明")?;
                let n_frames = size.min(body.len()) / frame;
                if n_frames == 0 {
                    return Err("没有声音");
                }
                return Ok(u32::try_from(n_frames / 8).unwrap_or(u32::MAX));
            }
            Some(_) | None => {}
        }
        let next = size.saturating_add(size % 2);
        rest = body.get(next..).unwrap_or_default();
    }
    Err("没有声音数据")
}

fn frame_size(format: &[u8]) -> Result<usize, Unfit> {
    let (Some(tag), Some(channels)) = (half(format, 0), half(format, 2)) else {
        return Err("格式说明不完整");
    };
    let (Some(rate), Some(bits)) = (word(format, 4), half(format, 14)) else {
        return Err("格式说明不完整");
    };
    if rate != 8_000 {
        return Err("采样率不是 8000 Hz");
    }
    if channels != 1 {
        return Err("不是单声道");
    }
    match (tag, bits) {
        (6 | 7, 8) => Ok(1),
        (1, 16) => Ok(2),
        _ => Err("编码不是 A 律、µ 律或 16 位线性"),
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded;

    #[test]
    fn every_bundled_prompt_can_be_played() {
        let sounds = embedded::FILES.iter().filter(|it| it.0.starts_with(embedded::SOUNDS));
        let lengths: Vec<_> = sounds.map(|it| length_ms(it.1)).collect();
        assert!(lengths.len() >= 70);
        assert!(lengths.iter().all(|it| it.is_ok_and(|ms| ms >= 200)), "{lengths:?}");
    }

    #[test]
    fn a_wide_band_recording_is_refused_by_name() {
        let mut bytes = embedded::file("prompts/zh-CN/bye.common.wav").unwrap().to_vec();
        bytes[24..28].copy_from_slice(&16_000_u32.to_le_bytes());
        assert_eq!(length_ms(&bytes), Err("采样率不是 8000 Hz"));
        assert_eq!(length_ms(b"ID3"), Err("不是 WAV 文件"));
        assert_eq!(length_ms(&bytes[..40]), Err("采样率不是 8000 Hz"));
        assert_eq!(length_ms(&bytes[..12]), Err("没有声音数据"));
    }
}
