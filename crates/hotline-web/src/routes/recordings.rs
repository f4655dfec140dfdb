//! A recording, whole or in part (RFC 9110 §14).

use std::io::SeekFrom;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hotline_base::RecordingId;
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
};
use tokio_util::io::ReaderStream;

use super::Name;
use crate::{App, Role, auth::Who, error::ApiError};

const CHUNK: usize = 64 << 10;

/// What of a file is wanted.
#[derive(Debug, Eq, PartialEq)]
enum Wanted {
    Whole,
    /// First and last byte.
    Part(u64, u64),
    Nothing,
}

pub(super) async fn hear(
    State(app): State<App>,
    Who(role): Who,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = RecordingId::new(&name);
    let found = app.archive.recording(id).await.map_err(ApiError::Archive)?;
    let recording = found.ok_or(ApiError::NotFound("recording"))?;
    match role {
        Role::System => {}
        Role::Agent(own) if recording.agents.contains(&own) => {}
        Role::Agent(_) | Role::Operator => return Err(ApiError::Forbidden),
    }
    let mut file = File::open(&recording.path).await.map_err(|_| ApiError::Gone)?;
    let len = file.metadata().await.map_err(|_| ApiError::Gone)?.len();
    let etag = format!("\"{}\"", recording.sha256);
    let wanted = match header_text(&headers, header::RANGE) {
        Some(range) if is_current(&headers, &etag) => parse_range(range, len),
        Some(_) | None => Wanted::Whole,
    };
    let (status, start, end) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, len),
        Wanted::Part(first, last) => (StatusCode::PARTIAL_CONTENT, first, last + 1),
        Wanted::Nothing => return Err(ApiError::Range { len }),
    };
    file.seek(SeekFrom::Start(start)).await.map_err(|_| ApiError::Gone)?;
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(end - start), CHUNK));
    let mut out = HeaderMap::new();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("audio/wav"));
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
    if !recording.sha256.is_empty() {
        out.extend(HeaderValue::from_str(&etag).ok().map(|it| (header::ETAG, it)));
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {start}-{}/{len}", end - 1);
        out.extend(HeaderValue::from_str(&range).ok().map(|it| (header::CONTENT_RANGE, it)));
    }
    Ok((status, out, body).into_response())
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// RFC 9110 §13.1.5: with `If-Range` of another file the range is ignored.
fn is_current(headers: &HeaderMap, etag: &str) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|it| it.as_bytes() == etag.as_bytes())
}

/// RFC 9110 §14.2: what is not understood, and several ranges at once, mean the whole file.
fn parse_range(text: &str, len: u64) -> Wanted {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|it| it.split_once('-')) else {
        return Wanted::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => {
            if first < len {
                Wanted::Part(first, last.min(len - 1))
            } else {
                Wanted::Nothing
            }
        }
        (Ok(first), Err(_)) if last.is_empty() => {
            if first < len {
                Wanted::Part(first, len - 1)
            } else {
                Wanted::Nothing
            }
        }
        // The last so many bytes.
        (Err(_), Ok(n)) if first.is_empty() => {
            if n > 0 && len > 0 {
                Wanted::Part(len.saturating_sub(n), len - 1)
            } else {
                Wanted::Nothing
            }
        }
        _ => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_understood_as_the_standard_has_it() {
        for (text, wanted) in [
            ("bytes=0-9", Wanted::Part(0, 9)),
            ("bytes=90-", Wanted::Part(90, 99)),
            ("bytes=90-200", Wanted::Part(90, 99)),
            ("bytes=-10", Wanted::Part(90, 99)),
            ("bytes=-1000", Wanted::Part(0, 99)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=100-200", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=9-0", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("seconds=0-1", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=18446744073709551615-", Wanted::Nothing),
        ] {
            assert_eq!(parse_range(text, 100), wanted, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Wanted::Nothing);
    }
}
