"use strict";
(() => {
  // Everything that comes from the run reaches the page as text (textContent, attributes), never as markup.
  const data = JSON.parse(document.getElementById("data").textContent);
  const tasks = data.tasks;
  const GLYPHS = { failed: "✕", skipped: "–", running: "▶", waiting: "…", succeeded: "✓" };
  const FATES = ["failed", "skipped", "running", "waiting", "succeeded"];
  const SMALL = 150; // tasks; beyond, the order is drawn in squares
  const ROWS = 160; // tasks; beyond, bars share lanes
  const CARDS = 6; // causes; the others are in a drawer
  const LINES = 400; // edges; beyond, only those of the table in hand are drawn
  const SVG = "http://www.w3.org/2000/svg";
  const SVGS = new Set(["svg", "g", "rect", "line", "text", "path", "defs", "pattern", "title"]);
  const $ = (id) => document.getElementById(id);

  function make(name, attributes = {}, ...children) {
    const element = SVGS.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === undefined || value === false || value === "") continue;
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else element.setAttribute(key, value === true ? "" : String(value));
    }
    element.append(...children.filter((child) => child !== undefined && child !== null && child !== false && child !== ""));
    return element;
  }

  // --- words ---

  const whole = new Intl.NumberFormat("en");
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });
  const at = (ms) => clock.format(data.start + ms);
  function duration(seconds) {
    if (seconds < 9.95) return seconds.toFixed(1) + " s";
    const all = Math.round(seconds);
    if (all < 60) return all + " s";
    const minutes = Math.floor(all / 60);
    const two = (n) => String(n).padStart(2, "0");
    return minutes < 60 ? `${minutes} min ${two(all % 60)} s` : `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  }
  const many = (n, noun) => `${whole.format(n)} ${noun}${n === 1 ? "" : "s"}`;
  const spoken = (t) => `${t.key}, ${t.word}${t.start !== null ? ", " + duration(t.seconds) : ""}${t.path ? ", on the critical path" : ""}`;
  const usual = (t) => (t.usual ? `usually ${duration(t.usual)}` : "");
  const link = (url, text) => (/^https?:\/\//.test(url) ? make("a", { href: url, rel: "noreferrer" }, text) : text);

  // --- who waits for whom: tasks that wait for the same tasks share one set, so that barriers stay small ---

  const users = data.sets.map(() => []);
  tasks.forEach((t, i) => { t.i = i; users[t.set].push(i); });
  const within = tasks.map(() => []);
  data.sets.forEach((members, s) => members.forEach((i) => within[i].push(s)));
  const upstream = (i) => data.sets[tasks[i].set];
  const downstream = (i) => within[i].flatMap((s) => users[s]);
  function after(i) {
    const sets = new Set(), found = new Set(), ahead = [i];
    while (ahead.length) {
      for (const s of within[ahead.pop()]) {
        if (sets.has(s)) continue;
        sets.add(s);
        for (const j of users[s]) if (!found.has(j)) { found.add(j); ahead.push(j); }
      }
    }
    return [...found].sort((a, b) => a - b);
  }
  const lines = data.sets.reduce((sum, members, s) => sum + (members.length ? members.length + users[s].length : 0), 0);

  // --- filter, shared by the pictures and the table ---

  const filter = { text: "", fates: new Set() };
  const texts = tasks.map((t) => [t.key, t.target, t.pipeline, t.word, t.cause].join("\n").toLowerCase());
  const isShown = (t) => (!filter.fates.size || filter.fates.has(t.fate)) && texts[t.i].includes(filter.text);
  const isFiltered = () => filter.text !== "" || filter.fates.size > 0;

  function applyFilter() {
    let shown = 0;
    for (const t of tasks) {
      const is = isShown(t);
      t.chip.classList.toggle("dim", !is);
      if (t.row) { t.row.hidden = !is; shown += is; }
    }
    $("shown").textContent = isFiltered() ? `${whole.format(shown)} of ${many(rowsOf.length, "table")}` : "";
    $("clear").hidden = !isFiltered();
    drawTime();
  }

  function buildFilter() {
    $("search").addEventListener("input", () => { filter.text = $("search").value.trim().toLowerCase(); applyFilter(); });
    for (const fate of FATES) {
      const number = rowsOf.filter((t) => t.fate === fate).length;
      if (!number) continue;
      const toggle = (event) => {
        const on = filter.fates.has(fate) ? !filter.fates.delete(fate) : !!filter.fates.add(fate);
        event.currentTarget.setAttribute("aria-pressed", on);
        applyFilter();
      };
      $("fates").append(make("button", { type: "button", "aria-pressed": "false", onclick: toggle }, `${GLYPHS[fate]} ${fate} ${number}`));
    }
    const clear = () => {
      filter.text = $("search").value = "";
      filter.fates.clear();
      for (const button of $("fates").children) button.setAttribute("aria-pressed", "false");
      applyFilter();
    };
    $("clear").addEventListener("click", () => { clear(); $("search").focus(); });
    $("filter").addEventListener("submit", (event) => event.preventDefault());
    $("search").addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || $("task").open || event.target.matches("input")) return;
      event.preventDefault();
      $("search").focus();
    });
  }

  // --- first screen ---

  document.addEventListener("click", (event) => {
    const of = event.target.closest("[data-open]");
    if (of) openTask(tasks[of.dataset.open]);
  });

  function buildHead() {
    $("verdict").append(make("span", { class: data.bad ? "failed" : data.fate }, data.bad ? "FAILED " : data.word + " "), data.verdict);
    const about = [`${data.name}, run ${data.id}, ${data.word}, started ${moment.format(data.start)}`];
    if (data.message && data.bad) about.push(`: ${data.message}`);
    $("about").append(...about, data.url && " · ", data.url && link(data.url, "its page in the workspace"));
    for (const note of data.notes) $("notes").append(make("li", {}, note));
    $("notes").hidden = !data.notes.length;
    for (const [name, value, fate] of data.figures) {
      $("tiles").append(make("div", {}, make("dt", {}, name), make("dd", { class: value === "0" ? "" : fate }, value)));
    }
    $("to-do").hidden = !data.to_do.length;
    for (const step of data.to_do) $("to-do").lastElementChild.append(make("li", {}, ...toDo(step)));
    $("changes").querySelector("p").textContent = data.compared;
    for (const change of data.changes.length ? data.changes : ["nothing of note"]) {
      $("changes").querySelector("ul").append(make("li", {}, change));
    }
  }

  function toDo(step) {
    if (/^https?:\/\//.test(step)) return [link(step, "the run's page in the workspace")];
    if (!/^(python|databricks) /.test(step)) return [step];
    const copy = (event) => {
      const button = event.currentTarget;
      const say = (text) => { button.textContent = text; };
      navigator.clipboard ? navigator.clipboard.writeText(step).then(() => say("copied"), () => say("not allowed here")) : say("not allowed here");
    };
    return [make("code", {}, step), make("button", { type: "button", onclick: copy, "aria-label": "copy the command" }, "copy")];
  }

  function buildFailures() {
    $("failures").hidden = !data.failures.length;
    const others = data.failures.slice(CARDS).reduce((sum, failure) => sum + failure.tasks.length, 0);
    const drawer = make("details", {}, make("summary", {}, `${many(others, "table")} for other causes`));
    data.failures.forEach((failure, number) => {
      const named = failure.tasks.map((i) => taskLink(tasks[i]));
      const errors = [...new Set(failure.tasks.map((i) => tasks[i].error))];
      const card = make("div", { class: "card" }, make("h3", {}, ...joined(named, 12)), make("p", { class: "failed" }, tasks[failure.tasks[0]].cause));
      for (const fact of failure.facts) card.append(make("p", {}, fact));
      if (failure.held) card.append(make("p", {}, failure.held));
      const whole = errors.length > 1 ? `${errors.length} different errors in full` : "full error";
      const details = make("details", { open: data.failures.length === 1 && errors.length === 1 }, make("summary", {}, whole));
      for (const e of errors) {
        const whose = failure.tasks.filter((i) => tasks[i].error === e).map((i) => tasks[i].key).join(", ");
        details.append(...(errors.length > 1 ? [make("p", {}, make("b", {}, whose))] : []), make("pre", {}, data.errors[e]));
      }
      card.append(details);
      (number < CARDS ? $("cards") : drawer).append(card);
    });
    if (others) $("cards").append(drawer);
  }

  function joined(nodes, limit = nodes.length) {
    const shown = nodes.slice(0, limit).flatMap((node, n) => (n ? [", ", node] : [node]));
    return nodes.length > limit ? [...shown, ` and ${nodes.length - limit} more`] : shown;
  }

  function taskLink(t, extra = "") {
    return make("button", { type: "button", class: "linked name", "data-open": String(t.i) }, t.key + extra);
  }

  const taskOf = (event) => tasks[event.target.closest("[data-task]")?.dataset.task ?? -1];

  // --- one task, in full ---

  function openTask(t) {
    const entries = [];
    const say = (name, ...value) => { if (value.some((v) => v !== "" && v !== null && v !== undefined)) entries.push(make("dt", {}, name), make("dd", {}, ...value)); };
    say("state", make("span", { class: "state " + t.fate }, `${GLYPHS[t.fate]} ${t.word}`));
    say("table", t.target && make("span", { class: "name" }, t.target));
    say("runner", t.pipeline);
    if (t.start !== null) say("time", `${at(t.start)} to ${t.end === null ? "now" : at(t.end)}, ${duration(t.seconds)} ${usual(t) && `(${usual(t)})`}`);
    if (t.earlier.length) say("attempts", `${t.attempt}; before: ` + t.earlier.map(([s, e, word]) => `${word} after ${duration((e - s) / 1000)}`).join(", "));
    say("last loaded", t.last_loaded, t.row_changed && "; its row has changed since then");
    say("rows", Object.entries(t.counts).filter(([name, n]) => n || name === "read").map(([name, n]) => `${name.replaceAll("_", " ")} ${whole.format(n)}`).join(", "));
    say("watermark", t.watermark);
    say("level", String(t.level));
    const before = upstream(t.i).map((i) => taskLink(tasks[i]));
    const behind = after(t.i).map((i) => taskLink(tasks[i]));
    say("waits for", ...joined(before, 30));
    say("wait for it", ...joined(behind, 30));
    say("output", t.log && make("span", { class: "name" }, t.log));
    say("page", t.url && link(t.url, "this task in the workspace"));
    const close = make("button", { type: "button", onclick: () => $("task").close() }, "Close");
    const error = t.error === null ? [] : [make("pre", {}, data.errors[t.error])];
    $("task").replaceChildren(make("div", { class: "title" }, make("h2", { id: "task-title", class: "name" }, t.key), close), ...error, make("dl", {}, ...entries));
    hideTip();
    if (!$("task").open) $("task").showModal();
    close.focus();
  }

  // --- a word about what is under the pointer or in focus ---

  function showTip(t, element) {
    const tip = $("tip"), box = element.getBoundingClientRect();
    const lines = [`${t.key}`, `${GLYPHS[t.fate]} ${t.word}`];
    if (t.start !== null) lines.push(`${at(t.start)}, ${duration(t.seconds)}${usual(t) && ", " + usual(t)}`);
    if (t.counts.read !== undefined) lines.push(`read ${whole.format(t.counts.read)} rows`);
    if (t.path) lines.push("on the critical path");
    if (t.cause) lines.push(t.cause.slice(0, 200));
    tip.textContent = lines.join("\n");
    tip.hidden = false;
    const size = tip.getBoundingClientRect();
    const below = box.bottom + 8 + size.height < innerHeight;
    tip.style.left = Math.max(4, Math.min(box.left, innerWidth - size.width - 8)) + "px";
    tip.style.top = (below ? box.bottom + 8 : Math.max(4, box.top - size.height - 8)) + "px";
  }
  const hideTip = () => { $("tip").hidden = true; };
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
  document.addEventListener("scroll", hideTip, { passive: true, capture: true });

  // One stop for Tab; the arrow keys go on from there to the nearest in their direction.
  function roving(container, selector) {
    container.addEventListener("keydown", (event) => {
      const from = event.target.closest(selector);
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      const all = [...container.querySelectorAll(selector)];
      const to = !from ? null : event.key === "Home" ? all[0] : event.key === "End" ? all.at(-1) : step ? nearest(from, all, step) : null;
      if (!to) return;
      event.preventDefault();
      from.setAttribute("tabindex", "-1");
      to.setAttribute("tabindex", "0");
      to.focus();
    });
  }
  function nearest(from, all, [right, down]) {
    if (right) return all[all.indexOf(from) + right];
    const middle = (e) => { const b = e.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; };
    const [x, y] = middle(from);
    let best = null, least = Infinity;
    for (const other of all) {
      const [ox, oy] = middle(other), away = (oy - y) * down;
      const distance = away * 3 + Math.abs(ox - x);
      if (away > 2 && distance < least) [best, least] = [other, distance];
    }
    return best;
  }

  // --- order ---

  const bands = new Map();
  function buildOrder() {
    for (const t of tasks) (bands.get(t.level) ?? bands.set(t.level, []).get(t.level)).push(t);
    const small = tasks.length > SMALL;
    $("names").checked = !small;
    const levels = [...bands.keys()].sort((a, b) => a - b);
    for (const level of levels) {
      const own = bands.get(level).sort((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || a.i - b.i);
      const list = make("ul", { "aria-labelledby": "level-" + level }, ...own.map((t) => make("li", {}, chip(t))));
      $("order").append(make("div", { class: "band" }, make("div", {}, make("h3", { id: "level-" + level }, title(own, level)), ...about(own)), list));
    }
    $("order").querySelector(".chip").setAttribute("tabindex", "0");
    roving($("order"), ".chip");
    const on = (event) => { const t = taskOf(event); if (t && t !== pointed) { point(t); showTip(t, t.chip); } };
    const off = () => { if (pointed) { point(null); hideTip(); } };
    for (const name of ["mouseover", "focusin"]) $("order").addEventListener(name, (event) => (taskOf(event) ? on(event) : off()));
    for (const name of ["mouseleave", "focusout"]) $("order").addEventListener(name, off);
    $("order").addEventListener("click", (event) => { const t = taskOf(event); if (t) openTask(t); });
    const setNames = () => { for (const list of $("order").querySelectorAll("ul")) list.classList.toggle("small", !$("names").checked); drawLines(); };
    $("names").addEventListener("change", setNames);
    setNames();
  }
  const kinds = ["table", "gate", "summary"];
  const title = (own, level) => (own.every((t) => t.kind === "summary") ? "after all" : `level ${level}: ${many(own.filter((t) => t.kind === "table").length, "table")}`);
  function about(own) {
    const started = own.filter((t) => t.start !== null);
    const fates = FATES.map((fate) => [fate, own.filter((t) => t.fate === fate && t.kind === "table").length]).filter(([, n]) => n);
    const from = Math.min(...started.map((t) => t.start)), to = Math.max(...started.map((t) => t.end ?? data.end));
    return [
      make("p", {}, ...joined(fates.map(([fate, n]) => make("span", { class: fate }, `${n} ${fate}`)))),
      started.length ? make("p", { class: "quiet" }, `${at(from)} to ${at(to)}, ${duration((to - from) / 1000)}`) : "",
    ];
  }
  function chip(t) {
    t.chip = make("button", { type: "button", class: `chip is-${t.fate}${t.path ? " path" : ""}`, tabindex: "-1", "aria-label": spoken(t), "data-task": String(t.i) },
      make("span", { class: "glyph", "aria-hidden": "true" }, GLYPHS[t.fate]), make("span", { class: "name" }, t.key));
    return t.chip;
  }

  let pointed = null;
  function point(t) {
    for (const c of $("order").querySelectorAll(".near, .after")) c.classList.remove("near", "after");
    pointed = t;
    if (t) {
      for (const i of upstream(t.i)) tasks[i].chip.classList.add("near");
      for (const i of downstream(t.i)) tasks[i].chip.classList.add("after");
    }
    drawLines();
  }
  function drawLines() {
    const canvas = $("order").querySelector("svg");
    if (!pointed && lines > LINES) { canvas.replaceChildren(); return; } // without asking where things are: that is what takes time
    const origin = canvas.getBoundingClientRect();
    const place = (t) => { const b = t.chip.getBoundingClientRect(); return { x: b.left + b.width / 2 - origin.left, top: b.top - origin.top, bottom: b.bottom - origin.top }; };
    const places = new Map();
    const of = (i) => places.get(i) ?? places.set(i, place(tasks[i])).get(i);
    const bend = (x1, y1, x2, y2) => `M${x1},${y1}C${x1},${(y1 + y2) / 2} ${x2},${(y1 + y2) / 2} ${x2},${y2}`;
    const down = (i, x, y) => bend(of(i).x, of(i).bottom, x, y);
    const up = (i, x, y) => bend(x, y, of(i).x, of(i).top);
    const curve = (i, j) => down(i, of(j).x, of(j).top);
    // Where all wait for all, the lines meet half way: n + m of them instead of n times m.
    function bundle(members, waiting) {
      if (members.length < 2 || waiting.length < 2) return members.flatMap((i) => waiting.map((j) => curve(i, j))).join("");
      const x = [...members, ...waiting].reduce((sum, i) => sum + of(i).x, 0) / (members.length + waiting.length);
      const y = (Math.max(...members.map((i) => of(i).bottom)) + Math.min(...waiting.map((i) => of(i).top))) / 2;
      return [...members.map((i) => down(i, x, y)), ...waiting.map((i) => up(i, x, y))].join("");
    }
    const paths = [];
    if (pointed) {
      paths.push(make("path", { class: "up", d: upstream(pointed.i).slice(0, LINES).map((i) => curve(i, pointed.i)).join("") }));
      paths.push(make("path", { class: "down", d: downstream(pointed.i).slice(0, LINES).map((i) => curve(pointed.i, i)).join("") }));
    } else {
      paths.push(make("path", { d: data.sets.map((members, s) => bundle(members, users[s])).join("") }));
    }
    canvas.replaceChildren(...paths);
  }

  // --- time: a row for each task, or lanes that they share; the critical path has the first one to itself ---

  let zoom = null;
  function buildTime() {
    $("time-about").textContent = `Times are those of this browser's time zone (${Intl.DateTimeFormat().resolvedOptions().timeZone}). The first row is the critical path: ${data.path_about}.`;
    const levels = [...bands.keys()].sort((a, b) => a - b).filter((level) => bands.get(level).some((t) => t.start !== null));
    const choose = (level) => (event) => {
      zoom = level;
      for (const button of $("zoom").children) button.setAttribute("aria-pressed", button === event.currentTarget);
      drawTime();
    };
    if (levels.length > 1) {
      $("zoom").append(make("button", { type: "button", "aria-pressed": "true", onclick: choose(null) }, "whole run"));
      for (const level of levels.slice(0, 40)) $("zoom").append(make("button", { type: "button", "aria-pressed": "false", onclick: choose(level) }, title(bands.get(level), level).split(":")[0]));
    }
    for (const [i, start, end] of data.path) $("path").append(make("li", {}, taskLink(tasks[i], ` ${duration((end - start) / 1000)}`)));
    roving($("time"), ".bar.link");
  }

  function drawTime() {
    const width = Math.max(560, $("time").clientWidth);
    const shown = tasks.filter((t) => t.start !== null && isShown(t) && (zoom === null || t.level === zoom));
    const spans = shown.flatMap((t) => [[t.start, t.end ?? data.end], ...(zoom === null ? t.earlier : [])]);
    const from = zoom === null ? 0 : Math.min(...spans.map((s) => s[0])), until = zoom === null ? data.end : Math.max(...spans.map((s) => s[1]));
    if (!shown.length) { $("time").replaceChildren(make("p", { class: "quiet" }, "No task that has started is shown.")); return; }
    shown.sort((a, b) => a.start - b.start || a.i - b.i);
    const rows = shown.length <= ROWS, lanes = rows ? shown.map((t) => [t]) : packed(shown);
    const left = 190, right = width - 8, top = 58, scale = (right - left) / Math.max(1, until - from);
    const height = rows ? (shown.length > 60 ? 14 : 18) : Math.max(3, Math.min(15, Math.floor(900 / lanes.length)));
    const x = (ms) => left + (Math.min(until, Math.max(from, ms)) - from) * scale;
    const bottom = top + lanes.length * height + 4;
    const marks = ticks(from, until, Math.floor((right - left) / 110));
    const parts = [hatch()];
    for (const tick of marks) {
      parts.push(make("line", { class: "grid", x1: x(tick), x2: x(tick), y1: 18, y2: bottom }));
      parts.push(make("text", { class: "quiet", x: x(tick) + 3, y: 12 }, at(tick)));
    }
    parts.push(make("text", { x: 0, y: 40 }, "critical path"), ...criticalLane(x, from, until, 26, 22));
    lanes.forEach((lane, n) => {
      const y = top + n * height;
      if (rows) parts.push(...(n % 2 ? [] : [make("rect", { class: "stripe", x: 0, y, width: left - 6, height })]), label(lane[0], y + height / 2 + 4, left - 14));
      for (const t of lane) parts.push(bar(t, x, y + (height > 5 ? 1 : 0), height - (height > 5 ? 2 : 1), right, rows));
    });
    if (!rows) parts.push(make("text", { class: "quiet", x: 0, y: top + 12 }, `${many(shown.length, "task")} in`), make("text", { class: "quiet", x: 0, y: top + 26 }, `${many(lanes.length, "lane")}`));
    if (data.going_on) parts.push(make("line", { class: "now", x1: x(data.end), x2: x(data.end), y1: 18, y2: bottom }));
    const picture = make("svg", { viewBox: `0 0 ${width} ${bottom}`, role: "group", "aria-label": "Gantt chart of the tasks" }, ...parts);
    picture.querySelector(".bar.link")?.setAttribute("tabindex", "0");
    $("time").replaceChildren(picture);
  }

  function packed(shown) {
    const lanes = [], ends = [];
    for (const t of shown) {
      let lane = ends.findIndex((end) => end <= t.start);
      if (lane < 0) lane = lanes.push([]) - 1;
      lanes[lane].push(t);
      ends[lane] = t.end ?? data.end;
    }
    return lanes;
  }
  function ticks(from, until, number) {
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400].map((s) => s * 1000);
    const step = steps.find((s) => (until - from) / s <= number) ?? 86400000 * Math.ceil((until - from) / number / 86400000);
    const first = Math.ceil((data.start + from) / step) * step - data.start;
    return Array.from({ length: Math.max(0, Math.floor((until - first) / step) + 1) }, (_, n) => first + n * step);
  }
  function criticalLane(x, from, until, y, height) {
    const seen = data.path.filter(([, start, end]) => end >= from && start <= until);
    return seen.map(([i, start, end]) => {
      const t = tasks[i], x1 = x(start), wide = Math.max(1.5, x(end) - x1);
      const group = make("g", { class: `bar path is-${t.fate}`, "aria-hidden": "true", onclick: () => openTask(t), onmouseenter: (e) => showTip(t, e.currentTarget), onmouseleave: hideTip },
        make("rect", { class: "main", x: x1, y, width: wide, height }));
      if (wide > 48) group.append(fitted(t.key, x1 + 4, y + 15, wide - 8));
      return group;
    });
  }
  function bar(t, x, y, height, right, rows) {
    const x1 = x(t.start), wide = Math.max(1.5, x(t.end ?? data.end) - x1);
    const on = (event) => showTip(t, event.currentTarget);
    const open = (event) => { if (event.type === "click" || event.key === "Enter" || event.key === " ") { event.preventDefault(); openTask(t); } };
    const group = make("g", { class: `bar link is-${t.fate}${t.path ? " path" : ""}`, tabindex: "-1", role: "button", "aria-label": `${spoken(t)}, ${at(t.start)}`, onclick: open, onkeydown: open, onmouseenter: on, onmouseleave: hideTip, onfocus: on, onblur: hideTip });
    if (zoom === null) for (const [s, e] of t.earlier) group.append(make("rect", { class: "earlier", x: x(s), y, width: Math.max(1, x(e) - x(s)), height }));
    group.append(make("rect", { class: "main", x: x1, y, width: wide, height, rx: height > 8 ? 2 : 0 }));
    if (t.fate === "failed") group.append(make("rect", { class: "hatch", x: x1, y, width: wide, height }));
    if (rows) {
      const text = `${t.fate === "succeeded" ? "" : GLYPHS[t.fate] + " "}${duration(t.seconds)}`;
      const outside = x1 + wide + 4 + text.length * 6.5 < right;
      group.append(make("text", { class: outside ? "quiet" : "", x: outside ? x1 + wide + 4 : Math.max(x1 + 3, right - text.length * 6.5), y: y + height / 2 + 4 }, text));
    } else if (height >= 11 && wide > 48) group.append(fitted(t.key, x1 + 3, y + height - 3.5, wide - 6));
    return group;
  }
  function label(t, y, room) {
    const text = fitted(t.key, 4, y, room);
    if (t.path) text.setAttribute("font-weight", "bold");
    text.append(make("title", {}, t.key));
    return text;
  }
  function fitted(name, x, y, room) {
    const letters = Math.floor(room / 6.1);
    return make("text", { x, y }, name.length <= letters ? name : name.slice(0, Math.max(1, letters - 1)) + "…");
  }
  function hatch() {
    return make("defs", {}, make("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, make("line", { x1: 0, y1: 0, x2: 0, y2: 6, stroke: "#fff", "stroke-opacity": 0.55, "stroke-width": 2 })));
  }

  // --- the tables ---

  const rowsOf = tasks.filter((t) => t.kind === "table");
  const rank = (t) => FATES.indexOf(t.fate);
  const number = (value, digits = 0) => ({ text: value === null || value === undefined ? "" : digits ? value.toFixed(digits) : whole.format(value), value: value ?? null, number: true });
  const text = (value) => ({ text: value, value: value.toLowerCase() });
  function columns() {
    const has = (name) => rowsOf.some((t) => t.counts[name]);
    const counted = Object.entries(data.heads).filter(([name]) => (name === "read" ? rowsOf.some((t) => "read" in t.counts) : has(name)));
    return [
      ["table", (t) => ({ ...text(t.key), node: taskLink(t) })],
      ["level", (t) => number(t.level)],
      ["runner", (t) => text(t.pipeline)],
      ["state", (t) => ({ value: rank(t), node: make("span", { class: "state " + t.fate }, `${GLYPHS[t.fate]} ${t.word}`) })],
      ["start", (t) => ({ text: t.start === null ? "" : at(t.start), value: t.start, number: true })],
      ["seconds", (t) => number(t.start === null ? null : t.seconds, 1)],
      ["usual", (t) => number(t.usual, 1)],
      ...counted.map(([name, head]) => [head, (t) => number(t.counts[name]), name.replace("_", " ")]),
      ...(rowsOf.some((t) => t.attempt > 1) ? [["attempt", (t) => number(t.attempt)]] : []),
      ...(rowsOf.some((t) => t.cause) ? [["error", (t) => ({ ...text(t.cause), cause: true })]] : []),
    ];
  }
  function buildTable() {
    const heads = columns(), body = $("tables").querySelector("tbody"), row = make("tr");
    heads.forEach(([name, of, long], n) => {
      const head = make("th", { scope: "col", "aria-sort": "none", title: long }, make("button", { type: "button", onclick: () => sortBy(n, head) }, name), make("span", { class: "paper" }, name)); // a button is not printed again on the next sheet
      row.append(head);
    });
    $("tables").querySelector("thead").append(row);
    for (const t of rowsOf) {
      t.cells = heads.map(([, of]) => of(t));
      t.row = make("tr", {}, ...t.cells.map((cell, n) => {
        if (cell.number) row.children[n].classList.add("number");
        const kind = cell.cause ? "cause" : cell.number ? "number" + (cell.value === 0 ? " zero" : "") : "";
        return make("td", { class: kind }, cell.node ?? (cell.cause ? make("div", {}, cell.text) : cell.text));
      }));
    }
    body.append(...rowsOf.map((t) => t.row));
  }
  function sortBy(column, head) {
    const down = head.getAttribute("aria-sort") === "ascending" || (head.getAttribute("aria-sort") === "none" && rowsOf[0].cells[column].number);
    const again = head.getAttribute("aria-sort") === "descending" ? false : down;
    for (const other of head.parentNode.children) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", again ? "descending" : "ascending");
    const sign = again ? -1 : 1;
    const order = [...rowsOf].sort((a, b) => {
      const [v, w] = [a.cells[column].value, b.cells[column].value];
      if (v === w) return a.i - b.i;
      if (v === null || v === "") return 1; // what is not known stands last, whichever way
      if (w === null || w === "") return -1;
      return (v < w ? -1 : 1) * sign;
    });
    $("tables").querySelector("tbody").append(...order.map((t) => t.row));
  }

  // --- paper ---

  function buildPaper() {
    matchMedia("print").addEventListener("change", ({ matches }) => {
      for (const details of document.querySelectorAll("details")) {
        if (matches) { details.dataset.was = details.open; details.open = true; } else details.open = details.dataset.was === "true";
      }
      drawLines();
    });
  }

  buildTheme($("theme"));
  buildPaper();
  buildHead();
  buildFailures();
  buildTable();
  $("plain").remove();
  $("page").hidden = false;
  buildOrder();
  buildTime();
  buildFilter();
  applyFilter();
  let settled;
  new ResizeObserver(() => { cancelAnimationFrame(settled); settled = requestAnimationFrame(() => { drawLines(); drawTime(); }); }).observe($("page"));
  requestAnimationFrame(() => { performance.mark("interactive"); });
})();
