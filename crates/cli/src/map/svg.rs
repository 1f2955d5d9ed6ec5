//! The picture itself: a static SVG that can be read without anything else.

use std::fmt::Write;

use super::escape::xml;
use super::facts::Facts;
use super::fold::{Chamber, Map, Part};
use super::layout::{self, Area, Chip, LEAF, PAD, Placed, Shape};
use crate::overview::{Key, Node};
use crate::terminal::cut;
use crate::words;

/// The look of boxes and chips, in light and dark.
pub const STYLE: &str = include_str!("picture.css");

const MARGIN: f64 = 16.0;
const HEAD: f64 = 46.0;
const FOOT: f64 = 44.0;
/// How wide a letter of 12 and one of 11 pixels is, in every usual fixed-width font.
const LETTER: f64 = 7.3;
const SMALL: f64 = 6.7;

/// A file of its own, with a heading and what the signs mean.
pub fn render(map: &Map<'_>, facts: &Facts) -> String {
    let (parts, whole) = layout::place(map);
    let (width, height) = (whole.width.max(3.0 * LEAF), whole.height);
    let (full_width, full_height) = (width + 2.0 * MARGIN, HEAD + height + FOOT);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{full_width:.0}\" \
         height=\"{full_height:.0}\" viewBox=\"0 0 {full_width:.0} {full_height:.0}\" \
         role=\"img\" aria-labelledby=\"title\">\n<title id=\"title\">{}</title>\n\
         <style>\n{STYLE}</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n",
        xml(&facts.title)
    );
    line(&mut text, "h", MARGIN, 22.0, &facts.title);
    let about = format!("{}; {}", facts.summary, facts.time);
    line(&mut text, "s", MARGIN, 38.0, &about);
    let _ = writeln!(text, "<g transform=\"translate({MARGIN} {HEAD})\">");
    text.push_str(&picture(map, &parts));
    text.push_str("</g>\n");
    let room = ((full_width - 2.0 * MARGIN) / SMALL) as usize;
    for (row, foot) in [legend(), &facts.complete].into_iter().enumerate() {
        let y = HEAD + height + 20.0 + 14.0 * row as f64;
        line(&mut text, "s", MARGIN, y, &cut(foot, room));
    }
    text.push_str("</svg>\n");
    text
}

/// What the signs mean.
pub fn legend() -> &'static str {
    "in a box: made in its user or pid namespace; dotted: shares namespaces; dashed: no process; \
     thick: own user namespace"
}

/// All boxes, for an `svg` element.
pub fn picture(map: &Map<'_>, parts: &[Placed<'_>]) -> String {
    let mut text = String::new();
    for part in parts {
        place(&mut text, map, part);
    }
    text
}

// Writing to a String cannot fail: the results of `write!` here tell nothing.

fn place(text: &mut String, map: &Map<'_>, placed: &Placed<'_>) {
    match &placed.shape {
        Shape::Chamber(chamber, chips) => {
            open(text, map, chamber, placed);
            heading(text, map, chamber, &placed.area);
            chips.iter().for_each(|chip| self::chip(text, chip));
        }
        Shape::Frame(part) => {
            text.push_str("<g class=\"frame\">\n");
            rect(text, &placed.area, 10.0);
            let title = frame_title(part);
            let room = ((placed.area.width - 2.0 * PAD) / SMALL) as usize;
            let Area { x, y, .. } = placed.area;
            line(text, "s", x + PAD, y + 14.0, &cut(&title, room));
        }
    }
    for inside in &placed.inside {
        place(text, map, inside);
    }
    text.push_str("</g>\n");
}

fn frame_title(part: &Part) -> String {
    match part {
        Part::Frame(kinds, _) => {
            format!("the same {}", words::kinds(*kinds).join(" "))
        }
        Part::Chamber(_) => String::new(),
    }
}

/// The group of a box: its words for those who do not see it, and its outline.
fn open(text: &mut String, map: &Map<'_>, chamber: &Chamber, placed: &Placed<'_>) {
    let node = map.node(chamber);
    let mut class = String::from("box");
    if !placed.inside.is_empty() {
        class.push_str(" outer");
    }
    if matches!(node.key, Key::Empty(_)) {
        class.push_str(" empty");
    }
    if !node.is_host && node.own_kinds().contains(warren_namespaces::Kind::User) {
        class.push_str(" owner");
    }
    let at = chamber.nodes.first().copied().unwrap_or(0);
    let title = xml(&description(map, chamber));
    let _ = writeln!(
        text,
        "<g class=\"{class}\" id=\"n{at}\"><title>{title}</title>"
    );
    if chamber.nodes.len() > 1 {
        let back = Area {
            x: placed.area.x + 4.0,
            y: placed.area.y + 4.0,
            ..placed.area
        };
        text.push_str("<g class=\"pile\">");
        rect(text, &back, 6.0);
        text.push_str("</g>\n");
    }
    rect(text, &placed.area, 6.0);
}

/// Everything about a box in one sentence.
pub fn description(map: &Map<'_>, chamber: &Chamber) -> String {
    let node = map.node(chamber);
    let mut text = node.what();
    if chamber.nodes.len() > 1 {
        text.push_str(&format!(", {} of them", chamber.nodes.len()));
    }
    text.push_str(&format!("; {}", detail(map, chamber)));
    if !node.is_host {
        let ids = node.own.iter().map(|(kind, id)| words::id(*kind, *id));
        let ids: Vec<String> = ids.collect();
        text.push_str(&format!("; own: {}", ids.join(" ")));
    }
    let at = chamber.nodes.first().copied().unwrap_or(0);
    for share in map.overview.cross(at) {
        let with = &map.overview.nodes[share.with].name;
        let kinds = words::kinds(share.kinds).join(" ");
        text.push_str(&format!("; {kinds} of {with}"));
    }
    text
}

/// `3 processes of root, pid 4242`.
fn detail(map: &Map<'_>, chamber: &Chamber) -> String {
    let node = map.node(chamber);
    match node.pid {
        Some(_) if chamber.nodes.len() > 1 => map.processes(chamber),
        Some(pid) => format!("{}, pid {pid}", map.processes(chamber)),
        None => "no process".to_owned(),
    }
}

fn heading(text: &mut String, map: &Map<'_>, chamber: &Chamber, area: &Area) {
    let node = map.node(chamber);
    let mut room = area.width - 2.0 * PAD;
    let left = area.x + PAD;
    if chamber.nodes.len() > 1 {
        let number = format!("×{}", chamber.nodes.len());
        let width = number.chars().count() as f64 * LETTER;
        line(text, "n", left + room - width, area.y + 18.0, &number);
        room -= width + 6.0;
    }
    let name = cut(&node.name, (room / LETTER) as usize);
    line(text, "t", left, area.y + 18.0, &name);
    let small = ((area.width - 2.0 * PAD) / SMALL) as usize;
    let detail = cut(&detail(map, chamber), small);
    line(text, "s", left, area.y + 33.0, &detail);
    line(text, "c", left, area.y + 47.0, &cut(command(node), small));
}

/// The command, where the name is not all of it.
fn command(node: &Node) -> &str {
    if node.command == node.name {
        ""
    } else {
        &node.command
    }
}

fn chip(text: &mut String, chip: &Chip) {
    let Area { x, y, .. } = chip.area;
    let _ = write!(text, "<g class=\"chip {}\">", chip.class);
    rect(text, &chip.area, 3.0);
    line(text, "k", x + 4.5, y + 11.0, &chip.text);
    text.push_str("</g>\n");
}

fn rect(text: &mut String, area: &Area, round: f64) {
    let Area {
        x,
        y,
        width,
        height,
    } = area;
    let _ = write!(
        text,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{round}\"/>"
    );
}

fn line(text: &mut String, class: &str, x: f64, y: f64, words: &str) {
    if !words.is_empty() {
        let words = xml(words);
        let _ = write!(
            text,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>"
        );
    }
}

#[cfg(test)]
mod tests {
    use warren_namespaces::Kind;

    use super::*;
    use crate::golden;
    use crate::overview::sample::Sample;

    #[test]
    fn a_picture_of_a_few() {
        let overview = Sample::labelled().overview();
        golden::is_as_kept("map.svg", &render(&Map::new(&overview), &Facts::sample()));
    }

    #[test]
    fn a_name_is_text_and_nothing_else() {
        let mut sample = Sample::host();
        sample.process(50, "<script>\"&'", &[(Kind::Net, 100)]);
        let overview = sample.overview();
        let text = render(&Map::new(&overview), &Facts::sample());
        assert!(text.contains(">&lt;script&gt;&quot;&amp;&#39;<"), "{text}");
        assert!(!text.contains("<script"), "{text}");
    }
}
