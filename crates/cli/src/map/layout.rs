//! Where each box stands: boxes in boxes, in rows from the left.

use super::fold::{Chamber, Map, Part};

/// A picture is not made wider than this, so that a page scrolls down only.
pub const WIDTH: f64 = 1360.0;
/// The width of a box that has nothing below it.
pub const LEAF: f64 = 216.0;
/// Between a box and what is in it.
pub const PAD: f64 = 10.0;
/// Between boxes.
const GAP: f64 = 8.0;
/// The line that says what a frame is.
pub const FRAME_HEAD: f64 = 20.0;
/// The three lines of text of a box.
pub const HEAD: f64 = 56.0;
/// A row of chips.
pub const CHIP_ROW: f64 = 19.0;
const CHIP_GAP: f64 = 4.0;

/// A rectangle on the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Area {
    /// From the left.
    pub x: f64,
    /// From the top.
    pub y: f64,
    /// How wide.
    pub width: f64,
    /// How high.
    pub height: f64,
}

/// One box or frame in its place.
#[derive(Debug)]
pub struct Placed<'m> {
    /// Where, from the picture's corner.
    pub area: Area,
    /// What.
    pub shape: Shape<'m>,
    /// What is in it.
    pub inside: Vec<Self>,
}

/// What a rectangle is.
#[derive(Debug)]
pub enum Shape<'m> {
    /// A box, with its chips in their places.
    Chamber(&'m Chamber, Vec<Chip>),
    /// A frame around boxes.
    Frame(&'m Part),
}

/// A word in a small box.
#[derive(Clone, Debug, PartialEq)]
pub struct Chip {
    /// The word.
    pub text: String,
    /// Which style it has: a kind's name, or `share`.
    pub class: &'static str,
    /// Where.
    pub area: Area,
}

impl Area {
    fn moved(self, x: f64, y: f64) -> Self {
        Self {
            x: self.x + x,
            y: self.y + y,
            ..self
        }
    }
}

/// Places everything; the second is the size of the whole.
pub fn place<'m>(map: &'m Map<'_>) -> (Vec<Placed<'m>>, Area) {
    let parts: Vec<Placed<'m>> = map
        .parts
        .iter()
        .map(|part| of_part(map, part, WIDTH))
        .collect();
    let (parts, width, height) = packed(parts, WIDTH);
    let whole = Area {
        width,
        height,
        ..Area::default()
    };
    (parts, whole)
}

fn of_part<'m>(map: &'m Map<'_>, part: &'m Part, room: f64) -> Placed<'m> {
    match part {
        Part::Chamber(chamber) => of_chamber(map, chamber, room),
        Part::Frame(_, chambers) => {
            let inside = chambers
                .iter()
                .map(|chamber| of_chamber(map, chamber, room - 2.0 * PAD))
                .collect();
            framed(Shape::Frame(part), inside, FRAME_HEAD, room, 0.0)
        }
    }
}

fn of_chamber<'m>(map: &'m Map<'_>, chamber: &'m Chamber, room: f64) -> Placed<'m> {
    let inner = room - 2.0 * PAD;
    let inside: Vec<Placed<'m>> = chamber
        .parts
        .iter()
        .map(|part| of_part(map, part, inner))
        .collect();
    let words = words(map, chamber);
    if inside.is_empty() {
        let (chips, rows) = chips(words, LEAF - 2.0 * PAD);
        let area = Area {
            width: LEAF,
            height: HEAD + rows + PAD,
            ..Area::default()
        };
        return Placed {
            area,
            shape: Shape::Chamber(chamber, chips),
            inside,
        };
    }
    // A wide box has its chips in one row, as far as they go.
    let (chips, rows) = chips(words, LEAF.max(inner * 0.6));
    let shape = Shape::Chamber(chamber, chips.clone());
    let widest = chips
        .iter()
        .map(|chip| chip.area.x + chip.area.width)
        .fold(0.0, f64::max);
    framed(shape, inside, HEAD + rows + GAP, room, widest + PAD)
}

/// What is in a rectangle, below `head`.
fn framed<'m>(
    shape: Shape<'m>,
    inside: Vec<Placed<'m>>,
    head: f64,
    room: f64,
    least: f64,
) -> Placed<'m> {
    let (inside, width, height) = packed(inside, room - 2.0 * PAD);
    let inside = inside
        .into_iter()
        .map(|placed| moved(placed, PAD, head))
        .collect();
    let area = Area {
        width: (width + 2.0 * PAD).max(LEAF).max(least),
        height: head + height + PAD,
        ..Area::default()
    };
    Placed {
        area,
        shape,
        inside,
    }
}

/// Rows from the left, of about the width that makes the whole look like a page; what
/// is high comes first.
fn packed(mut parts: Vec<Placed<'_>>, room: f64) -> (Vec<Placed<'_>>, f64, f64) {
    const ASPECT: f64 = 1.8;
    let area: f64 = parts
        .iter()
        .map(|part| (part.area.width + GAP) * (part.area.height + GAP))
        .sum();
    let widest = parts.iter().map(|part| part.area.width).fold(0.0, f64::max);
    let target = (area * ASPECT).sqrt().max(widest).min(room.max(widest));
    // Of about one height they leave little of a row empty.
    parts.sort_by(|a, b| b.area.height.total_cmp(&a.area.height));
    let (mut x, mut y, mut row, mut width) = (0.0, 0.0, 0.0_f64, 0.0_f64);
    for part in &mut parts {
        if x > 0.0 && x + part.area.width > target {
            y += row + GAP;
            (x, row) = (0.0, 0.0);
        }
        let placed = std::mem::replace(part, empty());
        *part = moved(placed, x, y);
        x += part.area.width + GAP;
        width = width.max(x - GAP);
        row = row.max(part.area.height);
    }
    (parts, width, y + row)
}

fn empty<'m>() -> Placed<'m> {
    Placed {
        area: Area::default(),
        shape: Shape::Frame(&EMPTY),
        inside: Vec::new(),
    }
}

static EMPTY: Part = Part::Frame(warren_namespaces::NamespaceSet::EMPTY, Vec::new());

fn moved(placed: Placed<'_>, x: f64, y: f64) -> Placed<'_> {
    let inside = placed.inside.into_iter();
    let shape = match placed.shape {
        Shape::Chamber(chamber, mut chips) => {
            for chip in &mut chips {
                chip.area = chip.area.moved(x, y);
            }
            Shape::Chamber(chamber, chips)
        }
        frame @ Shape::Frame(_) => frame,
    };
    Placed {
        area: placed.area.moved(x, y),
        shape,
        inside: inside.map(|placed| moved(placed, x, y)).collect(),
    }
}

/// The words of a box's chips and their styles.
fn words(map: &Map<'_>, chamber: &Chamber) -> Vec<(String, &'static str)> {
    let node = map.node(chamber);
    let mut words = Vec::new();
    if !node.is_host {
        let kinds = node.own_kinds();
        words.extend(
            kinds
                .iter()
                .map(|kind| (kind.name().to_owned(), kind.name())),
        );
    }
    for share in &chamber.far {
        let number = map.badges.get(&share.with).copied().unwrap_or(0);
        let kinds = share.kinds.to_string().replace(',', " ");
        words.push((format!("{kinds} of #{number}"), "share"));
    }
    let own = chamber.nodes.first().and_then(|at| map.badges.get(at));
    words.extend(own.map(|number| (format!("#{number}"), "share")));
    words
}

/// Places chips in rows of at most `room`, below the head; the second is how high the
/// rows are.
fn chips(words: Vec<(String, &'static str)>, room: f64) -> (Vec<Chip>, f64) {
    const LETTER: f64 = 6.1;
    let (mut x, mut y) = (0.0, 0.0);
    let mut chips = Vec::new();
    for (text, class) in words {
        let width = text.chars().count() as f64 * LETTER + 9.0;
        if x > 0.0 && x + width > room {
            (x, y) = (0.0, y + CHIP_ROW);
        }
        let area = Area {
            x: x + PAD,
            y: y + HEAD,
            width,
            height: CHIP_ROW - CHIP_GAP,
        };
        chips.push(Chip { text, class, area });
        x += width + CHIP_GAP;
    }
    let rows = if chips.is_empty() {
        0.0
    } else {
        y + CHIP_ROW - CHIP_GAP
    };
    (chips, rows)
}

#[cfg(test)]
mod tests {
    use warren_namespaces::Kind;

    use super::*;
    use crate::overview::sample::Sample;

    fn overlap(a: &Area, b: &Area) -> bool {
        a.x < b.x + b.width
            && b.x < a.x + a.width
            && a.y < b.y + b.height
            && b.y < a.y + a.height
    }

    fn holds(outer: &Area, inner: &Area) -> bool {
        inner.x >= outer.x
            && inner.y >= outer.y
            && inner.x + inner.width <= outer.x + outer.width
            && inner.y + inner.height <= outer.y + outer.height
    }

    /// Siblings stand apart, and everything in its own box.
    fn check(outer: &Area, parts: &[Placed<'_>]) -> usize {
        for (position, part) in parts.iter().enumerate() {
            assert!(holds(outer, &part.area), "{outer:?} {:?}", part.area);
            for other in &parts[position + 1..] {
                assert!(!overlap(&part.area, &other.area), "{part:?} {other:?}");
            }
            if let Shape::Chamber(_, chips) = &part.shape {
                for (position, chip) in chips.iter().enumerate() {
                    assert!(holds(&part.area, &chip.area), "{part:?}");
                    let others = &chips[position + 1..];
                    assert!(!others.iter().any(|other| overlap(&chip.area, &other.area)));
                    let below = &part.inside;
                    assert!(!below.iter().any(|part| overlap(&chip.area, &part.area)));
                }
            }
        }
        let inside = parts.iter().map(|part| check(&part.area, &part.inside));
        parts.len() + inside.sum::<usize>()
    }

    fn placed(sample: Sample) -> (usize, Area) {
        let overview = sample.overview();
        let map = Map::new(&overview);
        let (parts, whole) = place(&map);
        (check(&whole, &parts), whole)
    }

    #[test]
    fn a_thousand_boxes_stand_apart_on_a_page_of_usual_width() {
        let all = Kind::ALL;
        let name = |number: u32| format!("burrow-{number}");
        let sample = Sample::labelled().with_many(1000, &all, &name);
        let (boxes, whole) = placed(sample);
        assert!(boxes > 1000, "{boxes}");
        assert!(whole.width <= WIDTH, "{whole:?}");
    }

    #[test]
    fn a_deep_nest_stands_in_itself() {
        let (boxes, whole) = placed(Sample::deep(32));
        assert!(boxes >= 32 && whole.width <= WIDTH, "{boxes} {whole:?}");
    }

    #[test]
    fn a_few_boxes_make_a_small_picture() {
        let (boxes, whole) = placed(Sample::labelled());
        assert_eq!(boxes, 6);
        assert!(whole.width < 900.0 && whole.height < 600.0, "{whole:?}");
    }
}
