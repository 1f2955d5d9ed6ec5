//! The picture on a page: search, details, zoom; nothing is loaded from elsewhere.

use serde::Serialize;

use super::escape::{json, xml};
use super::facts::Facts;
use super::fold::{Chamber, Map, for_each};
use super::{layout, svg};
use crate::failure::Failure;
use crate::overview::Share;
use crate::words;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the page tells of a box.
#[derive(Serialize)]
struct Box<'a> {
    id: String,
    name: &'a str,
    host: bool,
    members: Vec<Member<'a>>,
    /// Boxes that it shares namespaces with.
    with: Vec<String>,
}

/// One of the nodes that a box stands for.
#[derive(Serialize)]
struct Member<'a> {
    pid: Option<u32>,
    processes: usize,
    user: Option<&'a str>,
    command: &'a str,
    target: String,
    own: Vec<String>,
    shared: Vec<String>,
}

/// The whole page.
pub fn render(map: &Map<'_>, facts: &Facts) -> Result<String, Failure> {
    let (parts, whole) = layout::place(map);
    let picture = svg::picture(map, &parts);
    let (width, height) = (whole.width + 12.0, whole.height + 12.0);
    let data = serde_json::to_string(&boxes(map))
        .map_err(|error| Failure::new(format!("write JSON: {error}")))?;
    Ok(format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{picture_style}{STYLE}</style>
</head>
<body>
<header>
<div class="about"><h1>{title}</h1>
<p>{summary}; {time}</p></div>
<div class="tools"><input id="search" type="search" placeholder="search: name, command, user, pid, id" aria-label="search" autocomplete="off" spellcheck="false">
<output id="found" for="search"></output>
<span class="zoom"><button id="out" type="button" aria-label="smaller">&minus;</button><button id="fit" type="button">fit</button><button id="in" type="button" aria-label="larger">+</button></span></div>
</header>
<main>
<div id="picture" tabindex="-1">
<svg id="map" xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="-4 -4 {width:.0} {height:.0}" role="group" aria-label="{title}">
{picture}</svg>
<p class="legend">{legend}<br>{complete}</p>
</div>
<aside id="details" aria-live="polite" hidden></aside>
</main>
<script type="application/json" id="data">{data}</script>
<script>
{SCRIPT}</script>
</body>
</html>
"#,
        title = xml(&facts.title),
        summary = xml(&facts.summary),
        time = xml(&facts.time),
        complete = xml(&facts.complete),
        legend = xml(svg::legend()),
        picture_style = svg::STYLE,
        data = json(&data),
    ))
}

fn boxes<'a>(map: &'a Map<'_>) -> Vec<Box<'a>> {
    let mut boxes = Vec::new();
    for_each(&map.parts, &mut |chamber| {
        boxes.push(of_chamber(map, chamber))
    });
    boxes
}

fn of_chamber<'a>(map: &'a Map<'_>, chamber: &Chamber) -> Box<'a> {
    let node = map.node(chamber);
    let first = chamber.nodes.first().copied().unwrap_or(0);
    let with = map.overview.cross(first);
    Box {
        id: format!("n{first}"),
        name: &node.name,
        host: node.is_host,
        members: chamber.nodes.iter().map(|at| member(map, *at)).collect(),
        with: with.map(|share| format!("n{}", share.with)).collect(),
    }
}

fn member<'a>(map: &'a Map<'_>, at: usize) -> Member<'a> {
    let node = &map.overview.nodes[at];
    let shared = |share: &Share| {
        let with = &map.overview.nodes[share.with];
        let pid = with.pid.map_or(String::new(), |pid| format!(" ({pid})"));
        let kinds = words::kinds(share.kinds).join(" ");
        format!("{kinds} of {}{pid}", with.name)
    };
    Member {
        pid: node.pid,
        processes: node.processes,
        user: node.user.as_deref(),
        command: &node.command,
        target: node.target(),
        own: node
            .own
            .iter()
            .map(|(kind, id)| words::id(*kind, *id))
            .collect(),
        shared: node.shared.iter().map(shared).collect(),
    }
}

#[cfg(test)]
mod tests {
    use warren_namespaces::Kind;

    use super::*;
    use crate::overview::sample::Sample;

    fn page(sample: Sample) -> String {
        let overview = sample.overview();
        render(&Map::new(&overview), &Facts::sample()).expect("a page")
    }

    #[test]
    fn a_name_cannot_end_the_script_that_holds_it() {
        let mut sample = Sample::host();
        sample.process(50, "</script><b>", &[(Kind::Net, 100)]);
        let text = page(sample);
        // The page's own two elements.
        assert_eq!(text.matches("</script").count(), 2, "{text}");
        assert!(!text.contains("<b>"), "{text}");
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let text = page(Sample::labelled());
        for (at, _) in text.match_indices("http") {
            let rest = &text[at..];
            let is_name = rest.starts_with("http://www.w3.org/2000/svg");
            assert!(is_name || rest.starts_with("http-equiv"), "{}", &rest[..40]);
        }
        for loader in ["src=", "@import", "url(", "fetch(", "XMLHttp"] {
            assert!(!text.contains(loader), "{loader}");
        }
    }

    #[test]
    fn details_name_what_is_shared_with_whom() {
        let text = page(Sample::labelled());
        assert!(
            text.contains(r#""shared":["net ipc uts of pause (5000)"]"#),
            "{text}"
        );
        assert!(
            text.contains(r#""own":["mnt:300","pid:304","cgroup:306"]"#),
            "{text}"
        );
    }
}
