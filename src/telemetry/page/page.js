"use strict";
// Every text goes in as a text node: ids of brands are foreign input.
const $ = (id) => document.getElementById(id);
function h(tag, cls, ...kids) { const e = document.createElement(tag); if (cls) e.className = cls; e.append(...kids); return e; }
function put(id, kids) { $(id).replaceChildren(...kids); }
const num = (x, d = 1) => x == null ? "–" : x.toFixed(d).replace(/^-(0\.?0*)$/, "$1").replace("-", "−");
const signed = (x, d = 1) => x == null ? "–" : (Number(x.toFixed(d)) > 0 ? "+" : "") + num(x, d);
const count = (x) => x == null ? "–" : x.toLocaleString("en");
const share = (x, d = 1) => x == null ? "–" : num(100 * x, d) + " %";
const when = (ms) => ms == null ? "–" : new Date(ms).toISOString().slice(0, 16).replace("T", " ") + " UTC";
const words = (name) => name.replaceAll("_", " ").toLowerCase();
const range = (low, high, f = num) => low == null ? "" : `${f(low)} – ${f(high)}`;
const side = (t) => t.trust_high != null && t.trust_high < 50 ? "bad" : t.trust_low > 50 ? "good" : "";

function svg(cls, width, height, label) {
  const s = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const set = (e, a) => { Object.entries(a).forEach(([k, v]) => e.setAttribute(k, v)); return e; };
  set(s, { class: cls, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  s.line = (c, x1, y1, x2, y2) => s.append(set(document.createElementNS(s.namespaceURI, "line"), { class: c, x1, y1, x2, y2 }));
  s.run = (points) => s.append(set(document.createElementNS(s.namespaceURI, "polyline"), { class: "run", points: points.map((p) => p.join(",")).join(" ") }));
  return s;
}
function axis(t) {
  const s = svg("axis", 100, 18, t.trust == null ? "no trust score" : `trust ${num(t.trust)}, interval ${num(t.trust_low)} to ${num(t.trust_high)}`);
  s.line("base", 0, 9, 100, 9); s.line("mid", 50, 0, 50, 18);
  if (t.trust_low != null) s.line("range", t.trust_low, 9, t.trust_high, 9);
  if (t.trust != null) s.line("dot", t.trust, 2, t.trust, 16);
  return s;
}
// Trust of closed windows over time, 0 to 100; the line breaks where data were insufficient for long.
function history(points, cls, width, height, breakAfter) {
  const known = points.filter((p) => p.trust != null), s = svg(cls, width, height, `trust of ${known.length} closed windows`);
  s.line("mid", 0, height / 2, width, height / 2);
  if (known.length === 0) return s;
  const first = points[0].window_start, span = Math.max(1, points[points.length - 1].window_start - first);
  const at = (p) => [+(width * (p.window_start - first) / span).toFixed(2), +(height * (1 - p.trust / 100)).toFixed(2)];
  let run = [];
  known.forEach((p, i) => {
    if (i > 0 && p.window_start - known[i - 1].window_start > breakAfter) { s.run(run); run = []; }
    run.push(at(p));
  });
  s.run(run);
  const [x, y] = at(known[known.length - 1]); s.line("end", x, y, x, y);
  return s;
}
const gap = () => ($("window").value === "1d" ? 24 : 1) * 3600e3 * 13;

function trustCell(t, open) {
  const cell = h("td", "trust right");
  if (t.trust == null) cell.append(h("span", "big", "–"), h("span", "sub", "too few people"));
  else cell.append(h("span", "big", num(t.trust)), h("span", "sub", t.status === "PROVISIONAL" ? "provisional" : range(t.trust_low, t.trust_high)));
  if (t.status !== "PROVISIONAL" && open && open.trust != null) cell.append(h("span", "sub", `now ${num(open.trust)} provisional`));
  return cell;
}
function movers(patterns) {
  const list = h("ul", "movers");
  [...patterns].filter((p) => Math.abs(p.contribution) >= 0.05).sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution)).slice(0, 3)
    .forEach((p) => list.append(h("li", p.contribution < 0 ? "bad" : "good", h("span", "", words(p.pattern)), h("span", "ink", signed(p.contribution)))));
  return list;
}
let chosen = new URLSearchParams(location.hash.slice(1)).get("brand");
function choose(brand) {
  chosen = chosen === brand ? null : brand;
  window.history.replaceState(null, "", chosen == null ? location.pathname : "#" + new URLSearchParams({ brand: chosen }));
  tick();
}
function row({ brand_id, closed, open, change, patterns, history: points }) {
  const t = closed || open, r = h("tr", t.trust == null ? "thin" : side(t)), b = h("button", "brand", brand_id);
  b.type = "button"; b.dataset.brand = brand_id; b.setAttribute("aria-expanded", String(chosen === brand_id)); b.addEventListener("click", () => choose(brand_id));
  const last = t.trust == null ? points.findLast((p) => p.trust != null) : null;
  const axisCell = h("td", "ink", axis(t)), spark = h("td", "ink", history(points, "spark", 160, 30, gap()));
  const moved = change == null ? "–" : (change > 0.05 ? "▲ " : change < -0.05 ? "▼ " : "") + signed(change);
  r.append(h("td", "name", b, h("span", "sub", last ? `last score ${num(last.trust)}` : `experience ${num(t.experience)} · brand layer ${num(t.brand_layer)}`)),
    trustCell(t, open), axisCell, h("td", "change right", moved), spark, h("td", "", t.trust == null ? "" : movers(patterns)));
  return r;
}
function patternRow(p) {
  const affected = p.affected_1 == null ? "–" : [p.affected_1, p.affected_2, p.affected_3].map(count).join(" / ");
  const cell = (...kids) => h("td", "right", ...kids), sub = (text) => h("span", "sub", text);
  const ratio = p.rate_ratio == null ? ["–"] : [`× ${num(p.rate_ratio, 2)}`, sub(range(p.rate_ratio_low, p.rate_ratio_high, (x) => num(x, 2)))];
  const incidence = p.incidence == null ? ["–"] : [share(p.incidence, 2), sub(range(p.incidence_low, p.incidence_high, (x) => num(100 * x, 2)) + " %")];
  return h("tr", p.contribution < 0 ? "bad" : p.contribution > 0 ? "good" : "", h("td", "", words(p.pattern)),
    h("td", "right ink", signed(p.contribution)), cell(...incidence), cell(count(p.at_risk)), cell(affected), cell(num(p.weight, 2)), cell(...ratio));
}
function detail({ closed, open, patterns, history: points }) {
  const t = closed || open, cell = h("td", ""), r = h("tr", "detail", cell); cell.colSpan = 6;
  const ticks = h("div", "ticks", h("span", "", "100"), h("span", "", "50"), h("span", "", "0"));
  const ends = points.length ? h("div", "span", h("span", "", when(points[0].window_start)), h("span", "", when(points[points.length - 1].window_start))) : "";
  const facts = h("dl", "");
  [["Window from", when(t.window_start)], ["People reached", count(t.people_reached)], ["Touches", count(t.touches)], ["Experience", `${num(t.experience)}`], ["Brand layer", num(t.brand_layer)],
    ["Opt-in rate", share(t.opt_in_rate)], ["Addressable", share(t.addressable_share)], ["Opted out", count(t.opted_out)], ["Known by device only", share(t.device_key_share)],
    ["Complete", share(t.completeness)], ["Too late", count(t.late)], ["Dead letters", count(t.dead_lettered)], ["Revision", count(t.revision)]]
    .forEach(([k, v]) => facts.append(h("div", "", h("dt", "", k), h("dd", "", v))));
  const heads = ["Pattern", "Contribution", "Incidence, 95 %", "At risk", "Affected 1 / 2 / 3", "Weight", "Opt-outs, association"];
  const table = h("table", "", h("thead", "", h("tr", "", ...heads.map((x, i) => h("th", i ? "right" : "", x)))),
    h("tbody", "", ...patterns.filter((p) => p.evaluated).sort((a, b) => a.contribution - b.contribution).map(patternRow)));
  const idle = patterns.filter((p) => !p.evaluated).map((p) => words(p.pattern));
  cell.append(h("h3", "", "Trust over time"), h("div", "plot", ticks, history(points, "chart", 800, 130, gap()), ends), facts, h("h3", "", "Patterns"),
    patterns.length ? table : h("p", "sub", "No window with patterns yet."),
    idle.length ? h("p", "note", "Too few people at risk: " + idle.join(", ") + ".") : "",
    h("p", "note", "Contribution: per 1,000 people reached. Opt-outs: rate on days with the pattern over that on days without it, with windows of a day only. It is an association, not an effect."));
  return r;
}
function moment(m) {
  const item = h("li", (m.weight < 0 ? "bad" : "good") + (m.status === "RETRACTED" ? " gone" : ""));
  item.append(h("div", "top", h("span", "what", words(m.pattern)), h("span", "sub", m.status === "RETRACTED" ? "retracted" : "severity " + m.severity)),
    h("div", "said", m.explanation), h("div", "top", h("span", "sub", m.brand_id), h("time", "", when(m.event_time))));
  return item;
}
function alertLine(a) {
  return h("p", "", h("span", "tag", words(a.kind)), h("span", "", a.summary), h("time", "", "since " + when(a.since)));
}
function status(p) {
  const lag = p.frontier == null || p.newest_event == null ? "–" : num((p.newest_event - p.frontier) / 1000, 0) + " s";
  const item = (name, value) => h("li", "", name + " ", h("b", "", value));
  put("status", [item("frontier", when(p.frontier)), item("lag", lag), item("read", count(p.read)), item("applied", count(p.applied)), item("too late", count(p.late)), item("dead letters", count(p.dead_lettered))]);
}
const get = async (path) => (await fetch(path, { cache: "no-store" })).json();
async function tick() {
  const turn = ++turns;
  clearTimeout(timer);
  try {
    const [v, rows] = await Promise.all([get("/api/status"), get("/api/brands?window=" + $("window").value)]);
    if (turn !== turns) return;
    const focus = document.activeElement?.dataset?.brand, alerts = Object.values(v.alerts);
    status(v.progress);
    put("banners", v.banners.map((x) => h("p", "", x)));
    put("alerts", alerts.map(alertLine)); $("alerts").hidden = alerts.length === 0;
    put("brands", rows.flatMap((x) => x.brand_id === chosen ? [row(x), detail(x)] : [row(x)]));
    $("table").hidden = rows.length === 0; $("empty").hidden = rows.length > 0;
    put("moments", v.moments.slice(-50).reverse().map(moment)); $("quiet").hidden = v.moments.length > 0;
    if (focus != null) [...document.querySelectorAll("button.brand")].find((b) => b.dataset.brand === focus)?.focus({ preventScroll: true });
  } catch (e) {
    put("status", [h("li", "", "No answer from Trustline; trying again.")]);
  }
  if (turn === turns) timer = setTimeout(tick, 1000);
}
let turns = 0, timer;
$("window").addEventListener("change", tick);
tick();
