// Shows the snapshots of /events. The server sends counters since the loop was made; rates, the
// curves and the last minute of the histograms are computed here, so a snapshot that is missed
// changes nothing. Texts go into the page through textContent only.
"use strict";

const KEPT = 60; // snapshots in the curves and in the last minute
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

/** For each loop: its last snapshots, the newest last. */
const history = new Map();
let latest = null;
let chosen = null;
let showsAll = false;

// --- numbers -----------------------------------------------------------------------------------

/** A duration in seconds, with three digits and a unit. */
function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return ["–", ""];
  for (const [unit, size] of [["ns", 1e-9], ["µs", 1e-6], ["ms", 1e-3]]) {
    if (seconds < 999.5 * size) return [digits(seconds / size), unit];
  }
  if (seconds < 120) return [digits(seconds), "s"];
  if (seconds < 7200) return [digits(seconds / 60), "min"];
  if (seconds < 172800) return [digits(seconds / 3600), "h"];
  return [digits(seconds / 86400), "d"];
}

function digits(value) {
  if (value >= 99.5 || value === 0) return String(Math.round(value));
  return value >= 9.95 ? value.toFixed(1) : value.toFixed(2);
}

/** A count, its thousands set apart by a narrow space. */
function count(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const rounded = value < 10 && value % 1 !== 0 ? value.toFixed(1) : String(Math.round(value));
  return rounded.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

const text = (seconds) => duration(seconds).join(" ").trim();

// --- elements ----------------------------------------------------------------------------------

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** A curve of the last values, as high as the largest of them or `top`. */
function curve(values, top) {
  const svg = shape("svg", { viewBox: `0 0 ${KEPT - 1} 100`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const highest = Math.max(top ?? 0, ...values.filter(Number.isFinite)) || 1;
  const x = (index) => KEPT - values.length + index;
  const points = values.map((value, index) => `${x(index)},${94 - 84 * ((value || 0) / highest)}`);
  if (points.length > 1) {
    const area = `${x(0)},100 ${points.join(" ")} ${KEPT - 1},100`;
    svg.append(shape("polygon", { points: area, class: "spark-area" }));
    svg.append(shape("polyline", { points: points.join(" "), class: "spark-line" }));
  }
  return svg;
}

// --- rates -------------------------------------------------------------------------------------

/** What `read` returns for each pair of neighbours in the history; `otherwise` if they are the same sample. */
function between(snapshots, read, otherwise) {
  const values = [];
  for (let index = 1; index < snapshots.length; index += 1) {
    const [before, after] = [snapshots[index - 1], snapshots[index]];
    if (!before.stats || !after.stats) continue;
    const seconds = after.taken - before.taken; // 0 if the loop has not answered since
    values.push(seconds > 0 ? read(before, after, seconds) : otherwise);
  }
  return values;
}

const rate = (snapshots, name) =>
  between(snapshots, (before, after, seconds) => (after.stats[name] - before.stats[name]) / seconds, 0);

function busyShare(snapshots) {
  return between(snapshots, (before, after) => {
    const busy = after.stats.busy - before.stats.busy;
    const all = busy + after.stats.idle - before.stats.idle;
    return all > 0 ? (100 * busy) / all : 0;
  }, 100); // a loop that does not answer is busy, as far as anybody can tell
}

// --- tiles -------------------------------------------------------------------------------------

function tile({ title, help = "", value, unit = "", more = "", values = [], top, level = "" }) {
  const number = element("p", {}, value, element("small", { textContent: unit }));
  const node = element("div", { className: `tile ${level}`, title: help }, element("h3", { textContent: title }), number);
  if (more) number.append(element("span", { className: "more", textContent: ` ${more}` }));
  node.append(curve(values, top));
  return node;
}

function levelOf(value, warn, bad) {
  return value >= bad ? "bad" : value >= warn ? "warn" : "";
}

function tiles(snapshots) {
  const now = snapshots.at(-1);
  const stats = now.stats ?? {};
  const all = (read) => snapshots.filter((snapshot) => snapshot.stats).map(read);
  const busy = busyShare(snapshots);
  const share = busy.at(-1);
  const lagOf = ({ stuck, lag }) => stuck ?? lag;
  const [lag, lagUnit] = duration(lagOf(now));
  const [turn, turnUnit] = duration(stats.longest_turn);
  const perSecond = (title, name, help) => {
    const rates = rate(snapshots, name);
    return { title, value: count(rates.at(-1)), unit: "/s", values: rates, help };
  };
  const live = (title, name, more) =>
    ({ title, value: count(stats[name]), values: all((snapshot) => snapshot.stats[name]), more });
  const gauges = (now.gauges ?? []).map(({ name, help, value }) => ({
    title: name.replaceAll("_", " "),
    help,
    value: count(value),
    values: all((snapshot) => (snapshot.gauges ?? []).find((gauge) => gauge.name === name)?.value ?? NaN),
  }));
  return [
    {
      title: "Busy", value: share === undefined ? "–" : digits(share), unit: "%", values: busy, top: 100,
      level: levelOf(share, 85, 97), help: "The share of time in which the loop worked instead of sleeping.",
    },
    {
      title: "Lag", value: lag, unit: lagUnit, values: all(lagOf), level: levelOf(lagOf(now), 0.1, 1),
      help: "How long the dashboard's last question waited for its turn, as anything else would have.",
    },
    {
      title: "Longest turn", value: turn, unit: turnUnit, values: all((snapshot) => snapshot.stats.longest_turn),
      help: "The longest time that the loop worked in one turn, since it was made.",
    },
    perSecond("Turns", "turns", "A turn runs what is ready, then the timers, and asks the kernel."),
    perSecond("Callbacks and polls", "entries", "Entries of the ready queue that ran."),
    perSecond("Timers fired", "timers_fired"),
    perSecond("Messages", "messages", "From other threads. One each second is the dashboard's."),
    live("Tasks", "live_tasks"),
    live("Timers", "live_timers"),
    live("Descriptors", "live_descriptors", stats.live_handlers ? `${count(stats.live_handlers)} of handlers` : ""),
    ...gauges,
  ].map(tile);
}

// --- histograms --------------------------------------------------------------------------------

/** The counts of a kind, in the last minute or since the beginning. */
function countsOf(snapshots, { kind, counts, sum }) {
  const begin = snapshots[0].times.find((times) => times.kind === kind);
  if (showsAll || snapshots.length < 2) return { counts, sum };
  const before = begin ?? { counts: counts.map(() => 0), sum: 0 };
  return { counts: counts.map((value, index) => value - before.counts[index]), sum: sum - before.sum };
}

/** The bound of the bucket in which the share `part` of all entries is reached. */
function quantile(counts, total, part, bounds) {
  let seen = 0;
  const index = counts.findIndex((value) => (seen += value) >= total * part);
  return bounds[index] === undefined ? `> ${text(bounds.at(-1))}` : `≤ ${text(bounds[index])}`;
}

/** What the bars of a kind mean, in two lines. */
function summary(counts, sum, bounds) {
  const total = counts.reduce((all, value) => all + value, 0);
  if (total === 0) return ["none", "\u00a0"];
  const [half, most, all] = [0.5, 0.99, 1].map((part) => quantile(counts, total, part, bounds));
  return [`${count(total)} entries, ${text(sum)} in all`, `half ${half} · 99 % ${most} · longest ${all}`];
}

function histogram(snapshots, times, bounds) {
  const { counts, sum } = countsOf(snapshots, times);
  const highest = Math.log10(Math.max(10, ...counts) + 1);
  const width = 100 / counts.length;
  const svg = shape("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img" });
  counts.forEach((value, index) => {
    if (value === 0) return;
    const height = Math.max(4, (100 * Math.log10(value + 1)) / highest);
    const level = bounds[index] === undefined || bounds[index] > 0.5 ? "longer" : bounds[index] > 0.05 ? "long" : "";
    const bar = shape("rect", { x: index * width + 0.3, y: 100 - height, width: width - 0.6, height, class: level });
    const range = bounds[index] === undefined ? `over ${text(bounds.at(-1))}` : `up to ${text(bounds[index])}`;
    bar.append(shape("title", {}));
    bar.firstChild.textContent = `${range}: ${count(value)}`;
    svg.append(bar);
  });
  const [first, second] = summary(counts, sum, bounds);
  svg.setAttribute("aria-label", `${times.kind}: ${first}, ${second}`);
  const axis = element("div", { className: "axis", ariaHidden: "true" });
  axis.append(...["1 µs", "32 µs", "1 ms", "33 ms", "1 s"].map((label) => element("span", { textContent: label })));
  const title = element("h3", { textContent: times.kind }, element("span", { textContent: first }));
  return element("div", { className: "kind" }, title, element("p", { textContent: second }), svg, axis);
}

// --- tables ------------------------------------------------------------------------------------

/** A table of `rows`, with a column for each `[title, class, read]`. */
function table(columns, rows) {
  const head = element("tr");
  head.append(...columns.map(([title, className]) => element("th", { textContent: title, className, scope: "col" })));
  const body = element("tbody");
  for (const row of rows) {
    const cells = columns.map(([title, className, read]) => {
      const cell = element("td", { className });
      cell.append(read(row) ?? "");
      cell.dataset.label = title;
      return cell;
    });
    body.append(element("tr", {}, ...cells));
  }
  return element("table", {}, element("thead", {}, head), body);
}

function list(id, total, { rows, more }, columns, empty) {
  const place = byId(id);
  const scrolled = place.scrollTop;
  place.replaceChildren(rows.length ? table(columns, rows) : element("p", { className: "empty", textContent: empty }));
  if (more) place.append(element("p", { className: "empty", textContent: `and ${count(more)} more lines` }));
  place.scrollTop = scrolled;
  byId(`${id}-count`).textContent = total === undefined ? "" : count(total);
}

/** The name of an entry or task, if it has one, and its source line. */
function origin({ name, line }) {
  const node = element("span", { className: "origin" });
  if (name) node.append(element("b", { textContent: name }), " ");
  node.append(element("code", { textContent: line ?? "a waker of another runtime" }));
  return node;
}

function lists(now) {
  const unlisted = now.unlisted ? "too many to list" : "none";
  const none = { rows: [], more: 0 };
  list("slow", now.slow_total, { rows: now.slow, more: 0 }, [
    ["what", "line", origin],
    ["kind", "word", (row) => row.kind],
    ["held the loop for", "number", (row) => text(row.elapsed)],
    ["ago", "number", (row) => text(row.ago)],
  ], "none so far");
  list("tasks", now.stats?.live_tasks, now.tasks ?? none, [
    ["what", "line", origin],
    ["tasks", "number", (row) => count(row.count)],
    ["ready", "number", (row) => (row.ready ? count(row.ready) : "")],
    ["oldest", "number", (row) => text(row.oldest)],
  ], unlisted);
  list("timers", now.stats?.live_timers, now.timers ?? none, [
    ["what", "line", origin],
    ["kind", "word", (row) => row.kind],
    ["timers", "number", (row) => count(row.count)],
    ["next in", "number", (row) => (row.due === null ? "never" : row.due === 0 ? "now" : text(row.due))],
  ], unlisted);
  list("handlers", now.stats?.live_handlers, now.handlers ?? none, [
    ["what", "line", origin],
    ["handlers", "number", (row) => count(row.count)],
    ["oldest", "number", (row) => text(row.oldest)],
  ], unlisted);
  byId("handlers-panel").hidden = !now.handlers?.rows.length;
}

// --- the page ----------------------------------------------------------------------------------

/** What is wrong with a loop, in two lines. */
function complaint({ name, stuck, running }, interval) {
  const title = `${name} is stuck for ${Math.floor(stuck)} s`;
  if (!running) return [title, "What runs is not known: the loop times its entries from the first look on."];
  const what = [running.kind, running.name && `“${running.name}”`, running.line && `of ${running.line}`];
  const where = what.filter(Boolean).join(" ");
  const begins = running.seconds < interval ? "It is busy with other entries first, now with a" : "In a";
  return [title, `${begins} ${where}, for ${text(running.seconds)}.`];
}

function banner(loops, interval) {
  const place = byId("banner");
  const stuck = loops.filter((loop) => loop.state === "stuck");
  place.hidden = stuck.length === 0;
  place.replaceChildren();
  for (const loop of stuck) {
    const [title, detail] = complaint(loop, interval);
    place.append(element("div", { textContent: title }, element("span", { textContent: detail })));
  }
  document.title = stuck.length ? `stuck! – squall dashboard` : "squall dashboard";
}

function choices(loops) {
  const place = byId("loops");
  const focused = place.contains(document.activeElement) ? document.activeElement.textContent : null;
  const buttons = loops.map((loop) => {
    const button = element("button", { type: "button", textContent: loop.name, className: loop.state });
    button.setAttribute("aria-pressed", String(loop.name === chosen));
    button.addEventListener("click", () => { chosen = loop.name; show(); });
    return button;
  });
  place.replaceChildren(...(loops.length > 1 ? buttons : []));
  buttons.find((button) => button.textContent === focused)?.focus();
}

function show() {
  if (!latest) return;
  const { loops, interval, bounds } = latest;
  if (!loops.some((loop) => loop.name === chosen)) chosen = loops[0]?.name ?? null;
  banner(loops, interval);
  choices(loops);
  const snapshots = history.get(chosen);
  if (!snapshots) return;
  byId("tiles").replaceChildren(...tiles(snapshots));
  const now = snapshots.at(-1);
  const histograms = now.times.map((times) => histogram(snapshots, times, bounds));
  byId("times").replaceChildren(...(histograms.length ? histograms : [element("p", { className: "empty", textContent: "none so far" })]));
  lists(now);
}

function receive(snapshot) {
  latest = snapshot;
  for (const loop of snapshot.loops) {
    const before = history.get(loop.name);
    const isSame = before && !(loop.taken < before.at(-1).taken); // another loop may have got the name
    const snapshots = isSame ? before : [];
    snapshots.push(loop);
    if (snapshots.length > KEPT) snapshots.shift();
    history.set(loop.name, snapshots);
  }
  show();
}

function connection(state, words) {
  byId("connection").className = state;
  byId("connection").textContent = words;
}

for (const [id, all] of [["recent", false], ["all", true]]) {
  byId(id).addEventListener("click", () => {
    showsAll = all;
    byId("recent").setAttribute("aria-pressed", String(!all));
    byId("all").setAttribute("aria-pressed", String(all));
    show();
  });
}

const events = new EventSource("events");
events.addEventListener("open", () => connection("live", "live"));
events.addEventListener("error", () => connection("lost", "disconnected; trying again …"));
events.addEventListener("message", (event) => receive(JSON.parse(event.data)));
