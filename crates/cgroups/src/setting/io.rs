//! Block devices.

use super::{Both, Writer, of_device, v1, v1_only, v2};
use crate::convert::{blkio_to_weight, weight_to_blkio};
use crate::limits::{Io, IoWeight, Throttle};

/// The name of v1 and v2 for the controller: nobody has both.
const CONTROLLERS: [&str; 2] = ["blkio", "io"];

impl Writer<'_> {
    pub(super) fn io(&mut self, io: &Io) {
        let [blkio, v2] = CONTROLLERS;
        let has_v1 = self.ground.parents.iter().any(|parent| parent.has(blkio));
        let controller = if has_v1 { blkio } else { v2 };
        if let Some(weight) = io.weight {
            self.add("io.weight", controller, weights(weight, None));
        }
        if let Some(weight) = io.leaf_weight {
            self.add(
                "io.leaf_weight",
                controller,
                v1_only("blkio.leaf_weight", weight),
            );
        }
        for of in &io.device_weights {
            if let Some(weight) = of.weight {
                self.add(
                    "io.weight",
                    controller,
                    weights(weight, Some(&of.device.to_string())),
                );
            }
            if let Some(weight) = of.leaf_weight {
                let line = of_device(of.device, weight);
                self.add(
                    "io.leaf_weight",
                    controller,
                    v1_only("blkio.leaf_weight_device", line),
                );
            }
        }
        for throttle in &io.throttles {
            self.add("io.max", controller, throttled(throttle));
        }
    }
}

/// Which file there is depends on the scheduler of the kernel: the first that there is
/// is written ([`crate::group`]).
fn weights(weight: IoWeight, device: Option<&str>) -> Both {
    let (of_v2, of_bfq) = match weight {
        IoWeight::Weight(weight) => (weight, weight_to_blkio(weight)),
        IoWeight::Blkio(weight) => (blkio_to_weight(weight), weight),
    };
    let (v1, v2) = match device {
        Some(device) => (
            ("blkio.bfq.weight_device", format!("{device} {of_bfq}")),
            ("io.weight", format!("{device} {of_v2}")),
        ),
        None => (
            ("blkio.bfq.weight", of_bfq.to_string()),
            ("io.weight", format!("default {of_v2}")),
        ),
    };
    let own = |(file, value): (&str, String)| Some(vec![(file.to_owned(), value)]);
    Both {
        v1: own(v1),
        v2: own(v2),
    }
}

fn throttled(throttle: &Throttle) -> Both {
    let files = [
        ("read_bps_device", throttle.read_bps),
        ("write_bps_device", throttle.write_bps),
        ("read_iops_device", throttle.read_iops),
        ("write_iops_device", throttle.write_iops),
    ];
    let v1 = files.into_iter().filter_map(|(file, most)| {
        let line = of_device(throttle.device, v1::rate(most?));
        Some((format!("blkio.throttle.{file}"), line))
    });
    let line = of_device(throttle.device, v2::io_max(throttle));
    Both {
        v1: Some(v1.collect()),
        v2: Some(vec![("io.max".to_owned(), line)]),
    }
}
