//! Bytes of a body that wait on disk: an unlinked file below `state_dir`, written and read away from the request's thread.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};

/// Written at once, at least; read at once, at most.
const BATCH: usize = 64 * 1024;
/// The most bytes that wait in memory for the disk.
const WAITING: usize = 256 * 1024;
/// The cost of a piece beside its bytes, about.
pub const PIECE: usize = 64;

/// The state that all bodies on disk share.
#[derive(Debug)]
pub struct Disk {
    used: AtomicU64,
    began: Instant,
    /// Milliseconds since `began` until which no failure is logged.
    quiet_until: AtomicU64,
}

impl Default for Disk {
    fn default() -> Self {
        Self { used: AtomicU64::new(0), began: Instant::now(), quiet_until: AtomicU64::new(0) }
    }
}

impl Disk {
    fn reserve(&self, bytes: u64, most: Option<u64>) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|used| most.is_none_or(|most| *used <= most));
        self.used.fetch_update(Relaxed, Relaxed, fits).is_ok()
    }

    /// Logs at most every ten seconds: the body streams on, and its request has its line in the access log.
    fn complain(&self, why: &dyn fmt::Display) {
        const PAUSE: u64 = 10_000;
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let until = self.quiet_until.load(Relaxed);
        if now >= until && self.quiet_until.compare_exchange(until, now + PAUSE, Relaxed, Relaxed).is_ok() {
            tracing::warn!(%why, "a body could not be held on disk: it streams on");
        }
    }
}

/// Where a body may be held on disk.
#[derive(Debug, Clone)]
pub struct SpillFolder {
    pub disk: Arc<Disk>,
    /// `state_dir`.
    pub directory: PathBuf,
    /// `[limits] buffer_disk`.
    pub most: Option<u64>,
}

/// The file of one body. The last handle gives the room back, so that a job that outlives its request has it until it ends.
#[derive(Debug)]
struct OnDisk {
    place: SpillFolder,
    reserved: AtomicU64,
    file: OnceLock<File>,
}

impl OnDisk {
    /// Takes room for the first `length` bytes.
    fn reserve(&self, length: u64) -> bool {
        let more = length.saturating_sub(self.reserved.load(Relaxed));
        let fits = self.place.disk.reserve(more, self.place.most);
        if fits {
            self.reserved.fetch_add(more, Relaxed);
        }
        fits
    }

    /// Blocks.
    fn write(&self, at: u64, pieces: &[Bytes]) -> io::Result<()> {
        let file = if let Some(file) = self.file.get() {
            file
        } else {
            let file = unlinked(&self.place.directory)?;
            self.file.get_or_init(|| file)
        };
        file.write_all_at(&pieces.concat(), at)
    }

    /// Blocks.
    fn read(&self, at: u64, length: usize) -> io::Result<Bytes> {
        let file = self.file.get().ok_or(io::ErrorKind::NotFound)?;
        let mut data = vec![0; length];
        file.read_exact_at(&mut data, at)?;
        Ok(data.into())
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        self.place.disk.used.fetch_sub(self.reserved.load(Relaxed), Relaxed);
        // To close a long file that has no name frees its blocks, which takes its time.
        if let (Some(file), Ok(runtime)) = (self.file.take(), Handle::try_current()) {
            runtime.spawn_blocking(move || drop(file));
        }
    }
}

/// A file that no directory names: it goes with its last handle, whatever becomes of the process.
fn unlinked(directory: &Path) -> io::Result<File> {
    fs::create_dir_all(directory)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    #[cfg(target_os = "linux")]
    if let Ok(file) = options.clone().custom_flags(libc::O_TMPFILE).open(directory) {
        return Ok(file);
    }
    // Not every file system makes a file without a name.
    let path = directory.join(format!("body-{:016x}", fastrand::u64(..)));
    let file = options.create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[derive(Debug)]
enum Job {
    /// This many pieces of the tail.
    Write(JoinHandle<io::Result<()>>, usize),
    Read(JoinHandle<io::Result<Bytes>>),
}

/// A queue of bytes, most of it on disk. Bytes that cannot be written stay in memory, and no more is taken.
#[derive(Debug)]
pub struct Spill {
    on_disk: Arc<OnDisk>,
    /// It is read more than once.
    rereads: bool,
    /// Bytes in the file.
    written: u64,
    /// Of these, read.
    read: u64,
    /// Behind those in the file. A piece that is being written is still here.
    tail: VecDeque<Bytes>,
    /// Pieces of the tail that were read.
    tail_read: usize,
    /// The tail's cost in memory, in bytes.
    cost: usize,
    job: Option<Job>,
    failed: bool,
}

impl Spill {
    /// `rereads`: what was read is kept, and can be read again.
    pub fn new(place: SpillFolder, rereads: bool) -> Self {
        Self {
            on_disk: Arc::new(OnDisk { place, reserved: AtomicU64::new(0), file: OnceLock::new() }),
            rereads,
            written: 0,
            read: 0,
            tail: VecDeque::new(),
            tail_read: 0,
            cost: 0,
            job: None,
            failed: false,
        }
    }

    /// The disk takes no more.
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// More may be put. Otherwise the disk has failed, or has to take some first.
    pub const fn has_room(&self) -> bool {
        !self.failed && self.cost < WAITING
    }

    /// All that was put was read.
    pub fn is_drained(&self) -> bool {
        self.read == self.written && self.tail_read == self.tail.len()
    }

    pub fn put(&mut self, data: Bytes) {
        self.cost += data.len() + PIECE;
        self.tail.push_back(data);
    }

    /// Reads from the first byte again. Only where it rereads.
    pub fn rewind(&mut self) {
        if matches!(self.job, Some(Job::Read(_))) {
            self.job = None;
        }
        (self.read, self.tail_read) = (0, 0);
    }

    /// Moves what was put to the disk. `moved` is set when something got there, or never will.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, moved: &mut bool) {
        loop {
            match &mut self.job {
                Some(Job::Write(job, count)) => {
                    let Poll::Ready(done) = Pin::new(job).poll(cx) else { return };
                    let count = *count;
                    self.job = None;
                    *moved = true;
                    match done {
                        Ok(Ok(())) => self.was_written(count),
                        Ok(Err(error)) => self.fail(&error),
                        Err(error) => self.fail(&error),
                    }
                }
                None if !self.failed && self.cost >= BATCH => {
                    self.begin_write();
                    *moved |= self.failed;
                }
                Some(Job::Read(_)) | None => return,
            }
        }
    }

    fn begin_write(&mut self) {
        let pieces: Vec<Bytes> = self.tail.iter().cloned().collect();
        let length: usize = pieces.iter().map(Bytes::len).sum();
        if !self.on_disk.reserve(self.written + length as u64) {
            return self.fail(&"`buffer_disk` in [limits] is used up");
        }
        let (on_disk, at, count) = (Arc::clone(&self.on_disk), self.written, pieces.len());
        self.job = Some(Job::Write(spawn_blocking(move || on_disk.write(at, &pieces)), count));
    }

    fn was_written(&mut self, count: usize) {
        let read = count.min(self.tail_read);
        for (index, piece) in self.tail.drain(..count).enumerate() {
            self.written += piece.len() as u64;
            self.cost -= piece.len() + PIECE;
            if index < read {
                // It was read before it got to the file.
                self.read += piece.len() as u64;
            }
        }
        self.tail_read -= read;
        self.forget();
    }

    fn fail(&mut self, why: &dyn fmt::Display) {
        self.failed = true;
        self.on_disk.place.disk.complain(why);
    }

    /// The next bytes. Ready with `None`: all that was put was read.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            if let Some(Job::Read(job)) = &mut self.job {
                let read = ready!(Pin::new(job).poll(cx));
                self.job = None;
                let data = read.map_err(io::Error::other)??;
                self.read += data.len() as u64;
                self.forget();
                return Poll::Ready(Ok(Some(data)));
            }
            if self.read == self.written {
                return Poll::Ready(Ok(self.next_of_tail()));
            }
            let mut moved = false;
            self.poll_write(cx, &mut moved);
            if self.job.is_some() {
                return Poll::Pending;
            }
            let left = usize::try_from(self.written - self.read).unwrap_or(usize::MAX);
            let (on_disk, at, length) = (Arc::clone(&self.on_disk), self.read, left.min(BATCH));
            self.job = Some(Job::Read(spawn_blocking(move || on_disk.read(at, length))));
        }
    }

    fn next_of_tail(&mut self) -> Option<Bytes> {
        let piece = self.tail.get(self.tail_read)?.clone();
        self.tail_read += 1;
        self.forget();
        Some(piece)
    }

    /// Frees the pieces that were read and are not read again, unless they are being written.
    fn forget(&mut self) {
        if self.rereads || self.job.is_some() {
            return;
        }
        for piece in self.tail.drain(..self.tail_read) {
            self.cost -= piece.len() + PIECE;
        }
        self.tail_read = 0;
        if self.tail.is_empty() && self.read == self.written {
            (self.read, self.written) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("multilith-spill-{:016x}", fastrand::u64(..)));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn place(&self, disk: &Arc<Disk>, most: Option<u64>) -> SpillFolder {
            SpillFolder { disk: Arc::clone(disk), directory: self.0.clone(), most }
        }

        fn is_empty(&self) -> bool {
            fs::read_dir(&self.0).unwrap().next().is_none()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn data(seed: usize, length: usize) -> Bytes {
        (0..length).map(|at| u8::try_from((seed + at * 7) % 251).unwrap()).collect::<Vec<_>>().into()
    }

    /// Puts all of it, as fast as the disk takes it; gives what was put.
    async fn put(spill: &mut Spill, lengths: &[usize]) -> Vec<u8> {
        let mut whole = Vec::new();
        for (seed, length) in lengths.iter().enumerate() {
            poll_fn(|cx| {
                spill.poll_write(cx, &mut false);
                if spill.has_room() || spill.has_failed() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            if spill.has_failed() {
                break;
            }
            whole.extend_from_slice(&data(seed, *length));
            spill.put(data(seed, *length));
        }
        whole
    }

    async fn rest(spill: &mut Spill) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(data) = poll_fn(|cx| spill.poll_read(cx)).await.unwrap() {
            read.extend_from_slice(&data);
        }
        read
    }

    #[tokio::test]
    async fn what_was_put_is_read_as_often_as_it_is_asked_for_and_no_file_stays() {
        let (folder, disk) = (Folder::new(), Arc::new(Disk::default()));
        let mut spill = Spill::new(folder.place(&disk, None), true);
        let lengths: Vec<_> = (0..80).map(|number| 1 + number * 977 % 40_000).collect();
        let whole = put(&mut spill, &lengths).await;
        for _ in 0..3 {
            spill.rewind();
            assert!(rest(&mut spill).await == whole);
        }
        assert!(folder.is_empty() && disk.used.load(Relaxed) > 1_000_000);
        drop(spill);
        assert_eq!(disk.used.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn a_queue_that_is_read_while_it_is_written_loses_nothing_and_uses_its_file_again() {
        let (folder, disk) = (Folder::new(), Arc::new(Disk::default()));
        let mut spill = Spill::new(folder.place(&disk, None), false);
        let (mut expected, mut read) = (Vec::new(), Vec::new());
        for round in 0..40 {
            expected.extend(put(&mut spill, &vec![10_000; 1 + round % 13]).await);
            for _ in 0..round % 7 {
                if let Some(data) = poll_fn(|cx| spill.poll_read(cx)).await.unwrap() {
                    read.extend_from_slice(&data);
                }
            }
            if round % 10 == 9 {
                read.extend(rest(&mut spill).await);
                assert!(spill.is_drained());
            }
        }
        assert!(read == expected);
        assert!(disk.used.load(Relaxed) < expected.len() as u64, "{}", disk.used.load(Relaxed));
    }

    #[tokio::test]
    async fn all_bodies_together_have_one_limit_and_what_finds_no_room_is_still_there() {
        let (folder, disk) = (Folder::new(), Arc::new(Disk::default()));
        let mut first = Spill::new(folder.place(&disk, Some(400_000)), true);
        let mut second = Spill::new(folder.place(&disk, Some(400_000)), true);
        let one = put(&mut first, &[50_000; 7]).await;
        let two = put(&mut second, &[50_000; 20]).await;
        assert!(!first.has_failed() && second.has_failed());
        assert!(disk.used.load(Relaxed) <= 400_000);
        assert!(rest(&mut first).await == one && rest(&mut second).await == two && !two.is_empty());
    }

    #[tokio::test]
    async fn a_disk_that_fails_costs_nothing_that_was_taken() {
        let (folder, disk) = (Folder::new(), Arc::new(Disk::default()));
        let mut place = folder.place(&disk, None);
        place.directory = folder.0.join("file");
        fs::write(&place.directory, "not a folder").unwrap();
        let mut spill = Spill::new(place, true);
        let whole = put(&mut spill, &[50_000; 20]).await;
        assert!(spill.has_failed() && !spill.has_room());
        assert!(rest(&mut spill).await == whole && !whole.is_empty());
    }
}
