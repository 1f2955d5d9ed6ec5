//! Compiled filters, kept in a folder.
//!
//! An entry has the whole text that it was compiled from, which is compared: no hash
//! has to be trusted. Whoever can choose a profile, as the author of a container can,
//! could otherwise look for one of his own with the name of another. The file's name
//! only has to differ mostly; where two are the same, the entries displace each other.
//!
//! The entries say what programs may do, so that nobody but their user may write them:
//! an entry or a folder of another owner, or that others may write, is not used.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{io, process};

use rustix::fs::OFlags;
use warren_sys::BpfInstruction;

use super::filter::{Filter, MAX_INSTRUCTIONS};

/// What this compiler makes: a change of it must change this number, or programs of
/// the one before would be taken for its own.
const COMPILER: u32 = 1;

const MAGIC: [u8; 8] = *b"warrenBP";

/// The largest text that is kept, in bytes.
const MAX_SOURCE: usize = 1 << 20;

/// A folder of compiled filters.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in `folder`, which exists.
    ///
    /// # Errors
    /// What stat(2) says, and `PermissionDenied` for a folder that somebody else owns or
    /// may write to.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(folder)?;
        if !metadata.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if !is_ours(&metadata) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The filter that `compile` makes of `source`, which has to have all that the
    /// program depends on: what it is rendered for as well as the text. A cache that
    /// cannot be read or written costs time and nothing else.
    ///
    /// # Errors
    /// Those of `compile`.
    pub fn filter<E>(
        &self,
        source: &[u8],
        compile: impl FnOnce() -> Result<Filter, E>,
    ) -> Result<Filter, E> {
        if let Some(filter) = self.load(source) {
            return Ok(filter);
        }
        let filter = compile()?;
        // Whoever wanted a filter has one.
        let _ = self.store(source, &filter);
        Ok(filter)
    }

    /// What was kept for `source`, if it is there and as it was written.
    #[must_use]
    pub fn load(&self, source: &[u8]) -> Option<Filter> {
        // No link is followed, and no fifo waited for.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::options()
            .read(true)
            .custom_flags(flags.bits() as i32)
            .open(self.path(source))
            .ok()?;
        let metadata = file.metadata().ok()?;
        let least = HEADER + source.len();
        let most = least + MAX_INSTRUCTIONS * INSTRUCTION;
        let length = usize::try_from(metadata.len()).ok()?;
        if !metadata.is_file() || !is_ours(&metadata) || !(least..=most).contains(&length)
        {
            return None;
        }
        let mut entry = Vec::with_capacity(length);
        let limit = metadata.len();
        file.take(limit).read_to_end(&mut entry).ok()?;
        decode(&entry, source)
    }

    /// Keeps a filter.
    ///
    /// # Errors
    /// What the kernel says of the file; `FileTooLarge` for a source of more than a MiB.
    pub fn store(&self, source: &[u8], filter: &Filter) -> io::Result<()> {
        if source.len() > MAX_SOURCE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let path = self.path(source);
        // What a killed process left has the name of one that is gone.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{count}.new", process::id());
        let new = path.with_extension(name);
        let written = write_new(&new, &encode(source, filter));
        let result = written.and_then(|()| fs::rename(&new, path));
        if result.is_err() {
            let _ = fs::remove_file(&new);
        }
        result
    }

    fn path(&self, source: &[u8]) -> PathBuf {
        let name = fnv(&[&COMPILER.to_le_bytes(), source]);
        self.folder.join(format!("{name:016x}.bpf"))
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)?
        }
        other => other?,
    };
    file.write_all(bytes)
}

/// Whether nobody else could have written it.
fn is_ours(metadata: &fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

/// Magic, compiler, length of the source, instructions, checksum of source and program.
const HEADER: usize = 8 + 4 + 4 + 4 + 8;
const INSTRUCTION: usize = 8;

fn encode(source: &[u8], filter: &Filter) -> Vec<u8> {
    let program: Vec<u8> = filter.instructions().iter().flat_map(bytes).collect();
    let length = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
    let mut entry = Vec::with_capacity(HEADER + source.len() + program.len());
    entry.extend(MAGIC);
    entry.extend(COMPILER.to_le_bytes());
    entry.extend(length(source.len()));
    entry.extend(length(filter.instructions().len()));
    entry.extend(fnv(&[source, &program]).to_le_bytes());
    entry.extend(source);
    entry.extend(program);
    entry
}

fn decode(entry: &[u8], source: &[u8]) -> Option<Filter> {
    let (magic, rest) = entry.split_first_chunk::<8>()?;
    let (compiler, rest) = rest.split_first_chunk::<4>()?;
    let (source_length, rest) = rest.split_first_chunk::<4>()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<8>()?;
    let source_length = usize::try_from(u32::from_le_bytes(*source_length)).ok()?;
    let (kept, program) = rest.split_at_checked(source_length)?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let is_right = *magic == MAGIC
        && u32::from_le_bytes(*compiler) == COMPILER
        && kept == source
        && (1..=MAX_INSTRUCTIONS).contains(&count)
        && program.len() == count * INSTRUCTION
        && fnv(&[source, program]) == u64::from_le_bytes(*checksum);
    let (instructions, _) = program.as_chunks::<INSTRUCTION>();
    is_right.then(|| Filter::new(instructions.iter().map(instruction).collect()))
}

fn bytes(one: &BpfInstruction) -> [u8; INSTRUCTION] {
    let [code_low, code_high] = one.code.to_le_bytes();
    let [k0, k1, k2, k3] = one.k.to_le_bytes();
    let (jump_true, jump_false) = (one.jump_true, one.jump_false);
    [code_low, code_high, jump_true, jump_false, k0, k1, k2, k3]
}

fn instruction(bytes: &[u8; INSTRUCTION]) -> BpfInstruction {
    let [code_low, code_high, jump_true, jump_false, k0, k1, k2, k3] = *bytes;
    BpfInstruction {
        code: u16::from_le_bytes([code_low, code_high]),
        jump_true,
        jump_false,
        k: u32::from_le_bytes([k0, k1, k2, k3]),
    }
}

/// FNV-1a on words: tells damage and most texts apart, and nothing more is asked of it.
fn fnv(parts: &[&[u8]]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |word: u64| {
        hash = (hash ^ word).wrapping_mul(PRIME);
        // So that upper bits reach the lower ones, too.
        hash ^= hash >> 32;
    };
    for part in parts {
        let (words, rest) = part.as_chunks::<8>();
        words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| add(u64::from(*byte)));
        add(part.len() as u64);
    }
    hash
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::caps::CapabilitySet;

    /// A folder of the test's own, which goes with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("warren-cache-{name}-{}", process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).expect("a new folder");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("ours");
            Self(path)
        }

        fn files(&self) -> Vec<PathBuf> {
            let entries = fs::read_dir(&self.0).expect("the folder");
            entries
                .map(|entry| entry.expect("an entry").path())
                .collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("remove the folder");
        }
    }

    fn filter() -> Filter {
        Filter::sandbox(CapabilitySet::EMPTY)
    }

    #[test]
    fn what_was_kept_is_found_again_without_compiling() {
        let folder = Folder::new("again");
        let cache = Cache::open(&folder.0).expect("a cache");
        assert_eq!(cache.load(b"a profile"), None);
        let made = cache.filter(b"a profile", || Ok::<_, ()>(filter()));
        assert_eq!(made, Ok(filter()));
        let found = cache.filter(b"a profile", || Err("compiled again"));
        assert_eq!(found, Ok(filter()));
        assert_eq!(cache.load(b"another profile"), None);
        assert_eq!(folder.files().len(), 1);
    }

    #[test]
    fn an_entry_with_the_name_of_another_text_is_not_taken_for_it() {
        let folder = Folder::new("collision");
        let cache = Cache::open(&folder.0).expect("a cache");
        cache.store(b"lax", &filter()).expect("kept");
        fs::rename(cache.path(b"lax"), cache.path(b"strict")).expect("the same name");
        assert_eq!(cache.load(b"strict"), None);
    }

    #[test]
    fn a_changed_byte_or_length_is_seen() {
        let folder = Folder::new("damage");
        let cache = Cache::open(&folder.0).expect("a cache");
        let source = b"a profile";
        cache.store(source, &filter()).expect("kept");
        let path = cache.path(source);
        let entry = fs::read(&path).expect("the entry");
        for place in 0..entry.len() {
            let mut damaged = entry.clone();
            damaged[place] ^= 0x10;
            assert_eq!(decode(&damaged, source), None, "byte {place}");
        }
        for length in 0..entry.len() {
            assert_eq!(decode(&entry[..length], source), None, "{length} bytes");
        }
        for damaged in [
            &entry[..entry.len() - 8],
            &[entry.as_slice(), b"12345678"].concat(),
        ] {
            fs::write(&path, damaged).expect("damage");
            assert_eq!(cache.load(source), None);
        }
        fs::write(&path, &entry).expect("repair");
        assert_eq!(cache.load(source), Some(filter()));
    }

    #[test]
    fn what_others_could_have_written_is_refused() {
        let folder = Folder::new("others");
        let cache = Cache::open(&folder.0).expect("a cache");
        cache.store(b"source", &filter()).expect("kept");
        let path = cache.path(b"source");
        for mode in [0o620, 0o602, 0o666] {
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(&path, permissions).expect("more permissions");
            assert_eq!(cache.load(b"source"), None, "{mode:o}");
        }
        // A link to one that is all right.
        let other = folder.0.join("other");
        fs::rename(&path, &other).expect("move");
        fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).expect("ours");
        symlink(&other, &path).expect("a link");
        assert_eq!(cache.load(b"source"), None);
        // A folder where it should be.
        fs::remove_file(&path).expect("remove");
        fs::create_dir(&path).expect("a folder");
        assert_eq!(cache.load(b"source"), None);
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let folder = Folder::new("folder");
        for (mode, is_taken) in [(0o777, false), (0o770, false), (0o755, true)] {
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(&folder.0, permissions).expect("permissions");
            assert_eq!(Cache::open(&folder.0).is_ok(), is_taken, "{mode:o}");
        }
        let link = folder.0.join("link");
        symlink(&folder.0, &link).expect("a link");
        assert!(Cache::open(&link).is_err());
        assert!(Cache::open(&folder.0.join("none")).is_err());
        // The system's folder for everybody.
        assert!(Cache::open(Path::new("/tmp")).is_err());
    }

    #[test]
    fn what_cannot_be_kept_is_compiled_all_the_same() {
        let folder = Folder::new("full");
        let cache = Cache::open(&folder.0).expect("a cache");
        fs::create_dir(cache.path(b"source")).expect("a folder in the way");
        let made = cache.filter(b"source", || Ok::<_, ()>(filter()));
        assert_eq!(made, Ok(filter()));
        assert_eq!(folder.files().len(), 1);
    }
}
