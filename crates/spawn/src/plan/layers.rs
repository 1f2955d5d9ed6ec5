//! Where the layers of a plan's overlays lie.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use warren_mounts::Target;

use super::Plan;
use crate::step::{Layering, LayeringUpper, Source, Step};

/// An overlay whose changes are kept in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The name of its folder in what [`Child::take_layers`](crate::Child::take_layers)
    /// gives: changes are in the folder `upper` of that.
    pub number: u16,
    /// The folders below it, on the host, the lowest first.
    pub lower: Vec<PathBuf>,
    /// Where the process sees it.
    pub target: PathBuf,
    /// Whether the process sees the owners of what lies below it as they are on the host,
    /// by number: 0 as 0.
    pub shifted: bool,
    /// What is mounted in it later, relative to it. A mount point that was missing was
    /// made in the layer.
    pub covered: Vec<PathBuf>,
}

impl Plan {
    /// The overlays whose changes are kept in memory, in the order of their making.
    #[must_use]
    pub fn layers(&self) -> Vec<Layer> {
        let mut layers: Vec<Layer> = Vec::new();
        let mut number = 0;
        for step in &self.steps {
            // The child numbers each folder that it makes there.
            let (layering, target) = match step {
                Step::RootOverlay(layering) => (Some(layering), PathBuf::from("/")),
                Step::Overlay { layering, target } => (Some(layering), path(target)),
                Step::RootShared { .. } => (None, PathBuf::from("/")),
                Step::File {
                    target,
                    mounted: Some(_),
                    ..
                }
                | Step::FolderInMemory { target, .. }
                | Step::Folder {
                    target,
                    shared: true,
                    ..
                } => (None, path(target)),
                step => {
                    if let Some(target) = step.mounts_at() {
                        cover(&mut layers, &path(target));
                    }
                    continue;
                }
            };
            cover(&mut layers, &target);
            if let Some(layering) = layering
                && layering.upper == LayeringUpper::Memory
            {
                layers.push(self.layer(number, layering, target));
            }
            number = number.saturating_add(1);
        }
        layers
    }

    fn layer(&self, number: u16, layering: &Layering, target: PathBuf) -> Layer {
        let sources = layering.lowers.iter().map(|(source, _)| source);
        let is_shifted = |source: &Source| {
            match source {
            Source::Tree(tree, _) => self.steps.iter().any(
                |step| matches!(step, Step::ShiftIds { tree: shifted, .. } if shifted == tree),
            ),
            _ => false,
        }
        };
        Layer {
            number,
            lower: sources.clone().map(host_path).collect(),
            target,
            shifted: sources.clone().all(is_shifted),
            covered: Vec::new(),
        }
    }
}

impl Step {
    /// Where it mounts something, made there if it is missing.
    fn mounts_at(&self) -> Option<&Target> {
        match self {
            Self::Bind { target, .. }
            | Self::Tmpfs { target, .. }
            | Self::Mqueue { target }
            | Self::Proc { target }
            | Self::ProcOfJoined { target }
            | Self::DevFolder { target, .. }
            | Self::MountTree { target, .. }
            | Self::MountFilesystem { target, .. }
            | Self::Cgroups { target, .. }
            | Self::Sys { target } => Some(target),
            _ => None,
        }
    }
}

/// Notes a mount in those of `layers` in which it lies.
fn cover(layers: &mut [Layer], target: &Path) {
    for layer in layers {
        match target.strip_prefix(&layer.target) {
            Ok(inside) if inside.as_os_str().is_empty() => {}
            Ok(inside) => layer.covered.push(inside.to_owned()),
            Err(_) => {}
        }
    }
}

fn path(target: &Target) -> PathBuf {
    Path::new("/").join(of_c_string(target.path()))
}

fn host_path(source: &Source) -> PathBuf {
    match source {
        Source::Path(path) | Source::Kept(_, path) => of_c_string(path),
        Source::Open(open) => open.name.clone().into(),
        Source::Within { place, .. } => path(place),
        Source::Tree(_, tree) => match tree {
            crate::spec::Tree::Path(path) => path.clone(),
            crate::spec::Tree::Open(open) => open.name.clone().into(),
        },
    }
}

fn of_c_string(text: &CStr) -> PathBuf {
    OsStr::from_bytes(text.to_bytes()).into()
}
