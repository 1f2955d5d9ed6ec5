//! What a run was refused, for people and for programs.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use warren_observe::{Cure, Refusal};
use warren_spawn::Spec;

use crate::failure::{self, Failure};

/// The refusals of one run.
pub struct Report {
    command: Vec<String>,
    refusals: Vec<Refusal>,
    /// How many have been told.
    told: usize,
    json: Option<(File, PathBuf)>,
    words: bool,
    live: bool,
}

/// The whole of it as JSON; docs/json.md describes it.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    command: &'a [String],
    code: u8,
    refusals: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    call: &'a str,
    action: &'a str,
    path: Option<String>,
    reason: &'a str,
    errno: i32,
    options: Option<&'a [String]>,
    needs_root: bool,
}

impl Report {
    /// For the run of `spec`: into the file `json`, and in words at the end or `live`.
    pub fn new(
        json: Option<&Path>,
        words: Option<&str>,
        spec: &Spec,
    ) -> Result<Self, Failure> {
        let open = |path: &Path| {
            let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
            Ok::<_, Failure>((file, path.to_owned()))
        };
        Ok(Self {
            command: spec
                .argv
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            refusals: Vec::new(),
            told: 0,
            json: json.map(open).transpose()?,
            words: words.is_some(),
            live: words == Some("live"),
        })
    }

    /// Whether each is told when it comes.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Takes one up, unless it is known.
    pub fn add(&mut self, refusal: Option<Refusal>) {
        let Some(refusal) = refusal else { return };
        if self
            .refusals
            .iter()
            .any(|known| known.says_the_same(&refusal))
        {
            return;
        }
        self.refusals.push(refusal);
        if self.live {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let new = &self.refusals[self.told..];
        let text: String = new.iter().map(|one| format!("refused: {one}\n")).collect();
        self.told = self.refusals.len();
        // Nobody who closed standard error wants to hear of it.
        let _ = failure::print_error(&text);
    }

    /// Says what is left to be said.
    pub fn finish(mut self, code: u8) -> Result<(), Failure> {
        if self.words {
            self.tell();
        }
        let Some((mut file, path)) = self.json.take() else {
            return Ok(());
        };
        let document = Document {
            version: 1,
            command: &self.command,
            code,
            refusals: self.refusals.iter().map(item).collect(),
        };
        let text = serde_json::to_string(&document).map_err(Failure::new)? + "\n";
        file.write_all(text.as_bytes())
            .map_err(|error| cannot_write(&path, &error))
    }
}

fn item(refusal: &Refusal) -> Item<'_> {
    let (options, needs_root) = match &refusal.cure {
        Cure::Options(words) => (Some(words.as_slice()), false),
        Cure::RootsOptions(words) => (Some(words.as_slice()), true),
        Cure::None => (None, false),
    };
    Item {
        call: &refusal.call,
        action: &refusal.action,
        path: refusal
            .path
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned()),
        reason: refusal.reason,
        errno: refusal.errno,
        options,
        needs_root,
    }
}

pub fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    let text = warren_namespaces::io_error_text(error);
    Failure::new(format!("write {}: {text}", path.display()))
}
