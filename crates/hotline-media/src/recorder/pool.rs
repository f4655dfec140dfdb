//! The blocks of all tapes: one piece of memory, mapped from a file without a disk that outlives
//! this process. What a killed process had not written yet is found there by the next one.
//!
//! Memory that was never used is none: there are blocks for a disk that is slow with every tape at
//! once, and only those take room that are on their way at the same time.
//!
//! The second of two places with unsafe code (docs/adr/0022): one call of `mmap`.

#![expect(unsafe_code, reason = "mapped memory is a pointer at first; docs/adr/0022")]

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::FileExt,
    },
    ptr,
};

use hotline_base::RecordingId;
use nix::libc;
use rustix::fs::{MemfdFlags, memfd_create};

use super::block::{BLOCK, Block, Page, key_of};

/// Where the blocks lie in the memory, behind everything else that is noted there.
const AT: u64 = 1 << 30;

/// Bytes of a block, its head included.
const BYTES: usize = size_of::<Page>();

/// So many blocks for each worker, in `memory` or, without, in such as nobody else has, and what
/// lay in them.
pub(crate) fn take_over(
    memory: Option<&OwnedFd>,
    n_workers: usize,
    n: usize,
) -> io::Result<(Vec<Vec<Block>>, Remains)> {
    let memory = File::from(match memory {
        Some(memory) => memory.try_clone()?,
        None => memfd_create("hotline-blocks", MemfdFlags::CLOEXEC)?,
    });
    let remains = Remains::read(&memory)?;
    Ok((stocks(&memory, n_workers, n)?, remains))
}

/// So many blocks in `memory` for each worker, silent or not.
fn stocks(memory: &File, n_workers: usize, n: usize) -> io::Result<Vec<Vec<Block>>> {
    let (n, n_all) = (n.max(1), n.max(1) * n_workers);
    let end = AT + (n_all * BYTES) as u64;
    if memory.metadata()?.len() < end {
        memory.set_len(end)?;
    }
    let pages = map(memory, n_all)?;
    // They are taken from the end: the same few, while these do.
    let stock = |it: &'static mut [Page]| it.iter_mut().rev().map(Block::new).collect();
    Ok(pages.chunks_exact_mut(n).map(stock).collect())
}

fn map(memory: &File, n: usize) -> io::Result<&'static mut [Page]> {
    let (protection, at) = (libc::PROT_READ | libc::PROT_WRITE, libc::off_t::try_from(AT));
    let at = at.map_err(io::Error::other)?;
    // SAFETY: no address is asked for, so nothing that is mapped is replaced; the descriptor is
    // open while this runs.
    let mapped = unsafe {
        libc::mmap(ptr::null_mut(), n * BYTES, protection, libc::MAP_SHARED, memory.as_raw_fd(), at)
    };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping begins at a page, is as long as this, and is never taken away. A `Page`
    // is plain numbers, which any bytes are. Nobody else has this memory: the process before is
    // dead when this one gets it, who handed it over does not map it, and nobody makes the file
    // shorter.
    Ok(unsafe { std::slice::from_raw_parts_mut(mapped.cast::<Page>(), n) })
}

/// What lay in the blocks of a process that died.
#[derive(Debug, Default)]
pub(crate) struct Remains(BTreeMap<u64, Vec<Remain>>);

/// A part of a recording.
#[derive(Debug)]
pub(super) struct Remain {
    /// The first sample of it.
    pub(super) start: u64,
    /// Left and right, sample by sample.
    pub(super) audio: Vec<u8>,
}

impl Remains {
    /// Before the blocks are used again.
    fn read(memory: &File) -> io::Result<Self> {
        let n_blocks = memory.metadata()?.len().saturating_sub(AT) / BYTES as u64;
        let mut found: Vec<(u64, u64, Page)> = Vec::new();
        let mut bytes = [0; BYTES];
        for n in 0..n_blocks {
            let (at, mut key) = (AT + n * BYTES as u64, [0; 8]);
            memory.read_exact_at(&mut key, at)?;
            // Most were never used.
            if key != [0; 8] {
                memory.read_exact_at(&mut bytes, at)?;
                let page = Page::from_bytes(&bytes);
                found.push((page.key(), page.start(), page));
            }
        }
        found.sort_by_key(|it| (it.0, it.1));
        let mut it = Self::default();
        let mut found = found.into_iter().peekable();
        while let Some((key, start, page)) = found.next() {
            let is_last = found.peek().is_none_or(|it| it.0 != key);
            // What comes after the last word was not spoken yet.
            let samples = if is_last { page.said() } else { BLOCK };
            let audio = page.interleaved().into_iter().take(samples).flatten().collect();
            it.0.entry(key).or_default().push(Remain { start, audio });
        }
        Ok(it)
    }

    /// A recording's parts, in order.
    pub(super) fn of(&self, recording: &RecordingId) -> &[Remain] {
        self.0.get(&key_of(recording)).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use hotline_base::media::Channel;

    use super::*;
    use crate::task::Slot;

    #[test]
    fn what_lay_in_the_blocks_of_a_recording_is_read_up_to_its_last_word() {
        let memory = File::from(memfd_create("blocks", MemfdFlags::CLOEXEC).unwrap());
        let [ours, other] = ["ours", "other"].map(RecordingId::new);
        let tape = Slot { index: 0, generation: 0, worker: 0 };
        let mut taken = stocks(&memory, 1, 4).unwrap().remove(0);
        assert_eq!(Remains::read(&memory).unwrap().of(&ours).len(), 0);
        for (block, (recording, start, said)) in
            taken.iter_mut().zip([(&ours, 1_600, 480), (&other, 0, 160), (&ours, 0, 1_600)])
        {
            block.begin(tape, key_of(recording), start);
            block.channel(Channel::Left)[..said].fill(7);
            block.note_heard(Channel::Left, 0..said);
        }
        let remains = Remains::read(&memory).unwrap();
        let [first, last] = remains.of(&ours) else { panic!("not two") };
        assert_eq!((first.start, first.audio.len(), last.start), (0, 3_200, 1_600));
        assert_eq!(last.audio.len(), 960);
        assert!(last.audio.iter().step_by(2).all(|it| *it == 7));
        assert!(last.audio.iter().skip(1).step_by(2).all(|it| *it != 7));
        // A block that is begun again holds nothing of what it held.
        taken[0].begin(tape, key_of(&other), 1_600);
        let remains = Remains::read(&memory).unwrap();
        assert_eq!((remains.of(&ours).len(), remains.of(&other)[1].audio.len()), (1, 0));
        // Another process with fewer blocks finds them all.
        drop(taken);
        assert_eq!(stocks(&memory, 2, 1).unwrap().len(), 2);
        assert_eq!(Remains::read(&memory).unwrap().of(&other).len(), 2);
    }
}
