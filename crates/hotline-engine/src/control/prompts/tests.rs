//! Processes of a shell in the place of the converter.

use std::io::Cursor;

use hotline_media::{SoundReport, pack_upload};
use tempfile::TempDir;
use tokio::io::AsyncRead;

use super::*;

fn prompt() -> UploadedPrompt {
    let report = SoundReport {
        length_ms: 1_000,
        rate: 16_000,
        channels: 2,
        coding: "PCM 16 bit".to_owned(),
        peak_dbfs: -3.0,
        loudness_dbfs: -5.0,
        clipped: 7,
    };
    UploadedPrompt { wav: b"RIFF of A-law".to_vec(), report }
}

struct Studio {
    folder: TempDir,
    shelf: PromptShelf,
}

/// A converter that does this in a shell, where `told` is the file with what it is to tell.
fn studio(does: &str, told: &[u8]) -> Studio {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("told");
    fs::write(&path, told).unwrap();
    let script = format!("told={}; {does}", path.display());
    let args = vec!["-c".into(), script.into()];
    let converter = RoleCommand { program: PathBuf::from("/bin/sh"), args };
    let shelf = PromptShelf::new(folder.path().join("zh-CN"), converter);
    Studio { folder, shelf }
}

const CONVERTS: &str = "cat > /dev/null; cat $told";

fn upload(bytes: impl AsyncRead + Send + 'static) -> Upload {
    Upload { length: None, bytes: Box::pin(bytes) }
}

impl Studio {
    async fn put(&self, name: &str) -> Result<PromptView, PromptError> {
        let sound = upload(Cursor::new(vec![b'x'; 100_000]));
        self.shelf.put(name.to_owned(), sound, false).await
    }

    fn stored(&self) -> Vec<String> {
        let Ok(found) = fs::read_dir(self.folder.path().join("zh-CN")) else { return Vec::new() };
        found.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[tokio::test]
async fn a_sound_takes_the_place_of_the_prompt_of_its_name_and_is_told_what_it_is_like() {
    let it = studio(CONVERTS, &pack_upload(&Ok(prompt())));
    let checked = it.shelf.put("greet".to_owned(), upload(Cursor::new(b"x")), true).await.unwrap();
    assert!(it.stored().is_empty());
    let view = it.put("greet").await.unwrap();
    assert_eq!(checked, view);
    assert_eq!((view.length_ms, view.clipped, view.warnings.len()), (1_000, 7, 2));
    let file = it.folder.path().join("zh-CN/greet.wav");
    assert_eq!(fs::read(&file).unwrap(), prompt().wav);
    // Whoever has opened the old one reads it to its end.
    let mut old = File::open(&file).unwrap();
    fs::write(it.folder.path().join("told"), {
        let wav = b"RIFF of another".to_vec();
        pack_upload(&Ok(UploadedPrompt { wav, ..prompt() }))
    })
    .unwrap();
    it.put("greet").await.unwrap();
    let mut read = Vec::new();
    io::Read::read_to_end(&mut old, &mut read).unwrap();
    assert_eq!((read, fs::read(file).unwrap()), (prompt().wav, b"RIFF of another".to_vec()));
    assert_eq!(it.stored(), ["greet.wav"]);
}

#[tokio::test]
async fn what_cannot_be_a_prompt_is_refused_and_nothing_is_stored() {
    let it = studio(CONVERTS, &pack_upload(&Ok(prompt())));
    let long = "语".repeat(65);
    for name in
        ["", ".", "..", "../greet", "a/b", ".greet", "greet.wav", "a b", "a\0b", long.as_str()]
    {
        assert_eq!(it.put(name).await, Err(PromptError::Name), "{name:?}");
    }
    let declared = Upload { length: Some(UPLOAD_MAX + 1), ..upload(Cursor::new(b"")) };
    assert_eq!(it.shelf.put("a".to_owned(), declared, false).await, Err(PromptError::TooLarge));
    for (why, error) in [
        (BadUpload::Rate(7), PromptError::Bad(BadUpload::Rate(7).words())),
        (BadUpload::TooLarge, PromptError::TooLarge),
    ] {
        let it = studio(CONVERTS, &pack_upload(&Err(why)));
        assert_eq!(it.put("greet").await, Err(error));
        assert!(it.stored().is_empty());
    }
    assert!(it.stored().is_empty());
}

#[tokio::test]
async fn a_converter_that_breaks_off_costs_that_sound_alone() {
    let whole = pack_upload(&Ok(prompt()));
    let half = whole.get(..whole.len() / 2).unwrap();
    let cases =
        [(CONVERTS, half), ("exit 3", &b""[..]), ("kill -9 $$", &b""[..]), (CONVERTS, &b"x"[..])];
    for (does, told) in cases {
        let it = studio(does, told);
        assert_eq!(it.put("greet").await, Err(PromptError::Failed), "{does}");
        assert!(it.stored().is_empty(), "{does}");
    }
    let it = studio(CONVERTS, &whole);
    fs::write(it.folder.path().join("zh-CN"), "a file where the directory should be").unwrap();
    assert_eq!(it.put("greet").await, Err(PromptError::NotStored));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_prompt_though_what_came_of_it_would_be() {
    let it = studio(CONVERTS, &pack_upload(&Ok(prompt())));
    let (near, far) = tokio::io::duplex(64);
    drop(far);
    let broken = upload(near.chain(Breaks));
    let put = it.shelf.put("greet".to_owned(), broken, false).await;
    assert_eq!((put, it.stored()), (Err(PromptError::Cut), Vec::new()));
}

/// A connection that is lost.
struct Breaks;

impl AsyncRead for Breaks {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}

#[tokio::test]
async fn one_sound_is_converted_at_a_time_and_whoever_hangs_up_makes_room() {
    // The first of its processes ends by nothing but a signal.
    let does = format!(
        "if [ -e $told.pid ]; then {CONVERTS}; else echo $$ > $told.pid; exec sleep 1000; fi"
    );
    let it = studio(&does, &pack_upload(&Ok(prompt())));
    let (open, sound) = tokio::io::duplex(64);
    let mut first = it.shelf.put("first".to_owned(), upload(sound), false);
    let pid = it.folder.path().join("told.pid");
    let begun = async {
        while !fs::read_to_string(&pid).is_ok_and(|it| it.ends_with('\n')) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        it = &mut first => panic!("{it:?}"),
        () = begun => (),
    }
    assert_eq!(it.put("second").await, Err(PromptError::Busy));
    let process = format!("/proc/{}", fs::read_to_string(&pid).unwrap().trim());
    assert!(Path::new(&process).exists());
    drop(first);
    let ended = async {
        while Path::new(&process).exists() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_mins(1), ended).await.unwrap();
    assert!(it.put("third").await.is_ok());
    assert_eq!(it.stored(), ["third.wav"]);
    drop(open);
}

#[tokio::test(start_paused = true)]
async fn a_sound_that_never_ends_to_arrive_is_given_up() {
    let it = studio(CONVERTS, &pack_upload(&Ok(prompt())));
    let (open, sound) = tokio::io::duplex(64);
    let put = it.shelf.put("greet".to_owned(), upload(sound), false).await;
    assert_eq!((put, it.stored()), (Err(PromptError::Slow), Vec::new()));
    drop(open);
}
