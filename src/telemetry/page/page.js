"use strict";
// Every text goes in as a text node: ids of brands are foreign input.
const $ = (id) => document.getElementById(id);
function h(tag, cls, ...kids) { const e = document.createElement(tag); if (cls) e.className = cls; e.append(...kids.map(String)); return e; }
function put(id, kids) { $(id).replaceChildren(...kids); }
const num = (x, d = 1) => x == null ? "–" : x.toFixed(d);
const when = (ms) => ms == null ? "–" : new Date(ms).toISOString().slice(0, 16).replace("T", " ") + " UTC";
const side = (t) => t.trust_high != null && t.trust_high < 50 ? "bad" : t.trust_low > 50 ? "good" : "";
function axis(t) {
  const s = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  s.setAttribute("viewBox", "0 0 100 12"); s.setAttribute("preserveAspectRatio", "none"); s.setAttribute("role", "img");
  s.setAttribute("aria-label", "trust " + num(t.trust) + ", interval " + num(t.trust_low) + " to " + num(t.trust_high));
  const line = (c, x1, y1, x2, y2) => { const l = document.createElementNS(s.namespaceURI, "line"); l.setAttribute("class", c); Object.entries({ x1, y1, x2, y2 }).forEach(([k, v]) => l.setAttribute(k, v)); s.append(l); };
  line("axis", 0, 6, 100, 6); line("mid", 50, 0, 50, 12);
  if (t.trust_low != null) { line("bar", t.trust_low, 6, t.trust_high, 6); line("bar", t.trust_low, 2, t.trust_low, 10); line("bar", t.trust_high, 2, t.trust_high, 10); }
  if (t.trust != null) line("bar", t.trust, 0, t.trust, 12);
  return s;
}
function row({ brand_id, closed, open, change, patterns }) {
  const t = closed || open, r = h("tr", side(t)), cell = h("td", "");
  const label = t.status === "FINAL" ? `${num(t.trust)} (${num(t.trust_low)}–${num(t.trust_high)})` : t.status === "PROVISIONAL" ? `${num(t.trust)} provisional` : "insufficient data";
  cell.append(axis(t));
  const top = [...patterns].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution)).filter((p) => p.contribution).slice(0, 3);
  r.append(h("td", "", brand_id), h("td", "", label + ` · experience ${num(t.experience)} · brand layer ${num(t.brand_layer)}`), cell,
    h("td", "", change == null ? "–" : (change > 0 ? "▲ +" : "▼ ") + num(change)),
    h("td", "", top.map((p) => `${p.pattern.replaceAll("_", " ")} ${num(p.contribution)}`).join(", ")), h("td", "", num(100 * t.completeness) + " %"));
  return r;
}
async function tick() {
  try {
    const get = async (p) => (await fetch(p, { cache: "no-store" })).json();
    const [v, b] = await Promise.all([get("/api/status"), get("/api/brands?window=" + $("window").value)]);
    const p = v.progress, lag = p.frontier == null || p.newest_event == null ? "–" : num((p.newest_event - p.frontier) / 1000) + " s";
    $("status").textContent = `frontier ${when(p.frontier)} · lag ${lag} · read ${p.read} · applied ${p.applied} · too late ${p.late} · dead letters ${p.dead_lettered}`;
    put("banners", v.banners.map((x) => h("p", "", x))); put("alerts", Object.values(v.alerts).map((a) => h("p", "", `${a.kind} ${a.brand_id || "pipeline"}: ${a.summary}`)));
    put("brands", b.map(row)); $("empty").hidden = b.length > 0;
    put("moments", v.moments.reverse().slice(0, 50).map((m) => h("li", m.weight < 0 ? "bad" : "good", `${m.brand_id} · ${m.pattern.replaceAll("_", " ")} · severity ${m.severity} · ${when(m.event_time)} · ${m.explanation}`)));
  } catch (e) { $("status").textContent = "No answer from Trustline; trying again."; }
  setTimeout(tick, 1000);
}
tick();
