"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const map = byId("map"), search = byId("search"), found = byId("found");
  const details = byId("details"), picture = byId("picture");
  const boxes = JSON.parse(byId("data").textContent);
  const known = new Map(boxes.map((box) => [box.id, box]));

  // All text on the page is set as text: names are of somebody else's choice.
  const element = (name, text, parent) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };

  for (const box of boxes) {
    const shape = byId(box.id);
    shape.tabIndex = 0;
    shape.setAttribute("role", "button");
    shape.setAttribute("aria-label", shape.querySelector("title").textContent);
    const words = [box.name];
    for (const member of box.members) {
      words.push(member.pid, member.user, member.command, ...member.own, ...member.shared);
    }
    box.words = words.join("\n").toLowerCase();
  }

  const term = (list, name, text) => {
    element("dt", name, list);
    element("dd", text, list);
  };

  const one = (box, member) => {
    const list = element("dl", undefined, details);
    if (member.pid !== null) {
      term(list, "processes", member.processes + ", lowest pid " + member.pid);
      term(list, "command", member.command);
    } else {
      term(list, "kept alive by", member.command);
    }
    if (member.user !== null) term(list, "user", member.user);
    term(list, box.host ? "namespaces" : "own namespaces", member.own.join(" ") || "none");
    if (member.shared.length) term(list, "shared", member.shared.join("; "));
    term(list, "look inside", "warren show " + member.target);
    term(list, "go in", "warren enter " + member.target);
  };

  const many = (box) => {
    const most = 500;
    element("p", box.members.length + " that look the same", details);
    const table = element("table", undefined, details);
    const head = element("tr", undefined, table);
    for (const name of ["pid", "own namespaces"]) element("th", name, head);
    for (const member of box.members.slice(0, most)) {
      const row = element("tr", undefined, table);
      element("td", member.pid === null ? "-" : member.pid, row);
      element("td", member.own.join(" "), row);
    }
    if (box.members.length > most) {
      element("p", "and " + (box.members.length - most) + " more", details);
    }
  };

  const unmark = (name) => {
    for (const shape of map.querySelectorAll("." + name)) shape.classList.remove(name);
  };

  const choose = (id) => {
    const box = known.get(id);
    unmark("chosen");
    unmark("partner");
    details.hidden = !box;
    details.replaceChildren();
    if (!box) return;
    byId(id).classList.add("chosen");
    const partners = boxes.filter((other) => other.with.includes(id)).map((other) => other.id);
    for (const partner of [...box.with, ...partners]) {
      const shape = byId(partner);
      if (shape) shape.classList.add("partner");
    }
    const close = element("button", "\u00d7", details);
    close.className = "close";
    close.setAttribute("aria-label", "close");
    close.addEventListener("click", () => choose(null));
    element("h2", box.name, details);
    if (box.members.length > 1) many(box);
    else one(box, box.members[0]);
  };

  let hits = [], current = -1;

  const look = () => {
    const text = search.value.trim().toLowerCase();
    unmark("hit");
    map.classList.toggle("searching", text !== "");
    hits = text === "" ? [] : boxes.filter((box) => box.words.includes(text));
    current = -1;
    for (const box of hits) byId(box.id).classList.add("hit");
    found.textContent = text === "" ? "" : hits.length + " of " + boxes.length;
    if (hits.length) byId(hits[0].id).scrollIntoView({ block: "nearest", inline: "nearest" });
  };

  const next = () => {
    if (!hits.length) return;
    current = (current + 1) % hits.length;
    const box = hits[current];
    byId(box.id).scrollIntoView({ block: "center", inline: "center" });
    choose(box.id);
    found.textContent = current + 1 + " of " + hits.length;
  };

  const natural = map.viewBox.baseVal;
  let scale = 1;
  const zoom = (to) => {
    scale = Math.min(3, Math.max(0.1, to));
    map.setAttribute("width", natural.width * scale);
    map.setAttribute("height", natural.height * scale);
  };
  const fit = () => {
    const room = picture.clientWidth - 32;
    zoom(Math.min(1, room / natural.width));
  };

  search.addEventListener("input", look);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") next();
  });
  map.addEventListener("click", (event) => {
    const shape = event.target.closest(".box");
    choose(shape ? shape.id : null);
  });
  map.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    const shape = event.target.closest(".box");
    if (!shape) return;
    event.preventDefault();
    choose(shape.id);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape") {
      if (!details.hidden) choose(null);
      else {
        search.value = "";
        look();
      }
    }
  });
  byId("in").addEventListener("click", () => zoom(scale * 1.25));
  byId("out").addEventListener("click", () => zoom(scale / 1.25));
  byId("fit").addEventListener("click", fit);
  if (natural.width > picture.clientWidth - 32) fit();
})();
