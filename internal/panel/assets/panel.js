// What the pages do beyond links and forms: theme, keys, times that go on,
// pictures that fail, charts, and the live stream.
(() => {
  "use strict";
  const root = document.documentElement;
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const csv = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });
  const number = (n) => (n == null ? "–" : csv.format(n));

  /* Theme: auto, light, dark. The server renders it from the cookie. */
  function theme() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    document.addEventListener("submit", (e) => {
      const form = e.target.closest("[data-theme-form]");
      if (!form) return;
      e.preventDefault();
      const now = root.dataset.theme || (dark.matches ? "dark" : "light");
      const next = now === "dark" ? "light" : "dark";
      root.dataset.theme = next;
      window.jobsTheme();
      const secure = location.protocol === "https:" ? "; secure" : "";
      document.cookie = `poa_theme=${next}; path=/; max-age=31536000; samesite=lax${secure}`;
      repaint();
    });
    dark.addEventListener("change", repaint);
  }

  /* Keys. */
  const places = { o: "/", s: "/scheduler", l: "/log", n: "/nfts", c: "/collections", v: "/voters", e: "/settings", a: "/audit", p: "/people", t: "/try", j: "/jobs/" };
  let leader = 0;
  function keys() {
    document.addEventListener("keydown", (e) => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
      const typing = e.target.closest("input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable]");
      if (e.key === "Escape" && typing) { typing.blur(); return; }
      if (typing || $("dialog[open]")) return;
      if ((e.key === " " || e.key === "Enter") && e.target.closest("a, button, summary, input")) return; // theirs
      if (e.key.startsWith("Arrow") && e.target.closest("input, [tabindex='0'], dialog")) return; // likewise
      if (leader && e.timeStamp - leader < 1500) {
        leader = 0;
        const place = places[e.key] && $(`.nav a[href="${places[e.key]}"]`);
        if (place) { e.preventDefault(); place.click(); }
        return;
      }
      switch (e.key) {
        case "/": {
          const field = $("[data-search]") || $("#search");
          if (field) { e.preventDefault(); field.focus(); field.select(); }
          break;
        }
        case "?": e.preventDefault(); $("#keys")?.showModal(); break;
        case "g": leader = e.timeStamp; break;
        default: {
          const button = $$("[data-key]").find((b) => b.dataset.key === e.key && !b.disabled);
          if (button) { e.preventDefault(); button.click(); }
        }
      }
    });
    document.addEventListener("click", (e) => {
      const open = e.target.closest("[data-open]");
      if (open) { const d = document.getElementById(open.dataset.open); if (d) { e.preventDefault(); d.showModal(); } }
      const close = e.target.closest("[data-close]");
      if (close) { e.preventDefault(); close.closest("dialog")?.close(); }
      const copy = e.target.closest("[data-copy]");
      if (copy) copied(copy);
    });
    document.addEventListener("submit", (e) => { // asks before what cannot be undone
      const asked = e.submitter?.dataset.confirm || e.target.dataset.confirm;
      if (asked && !confirm(asked)) { e.preventDefault(); e.stopImmediatePropagation(); }
    }, true);
    document.addEventListener("submit", (e) => { // once is enough
      const button = e.submitter;
      if (e.defaultPrevented || !button || e.target.method !== "post") return;
      setTimeout(() => { button.disabled = true; });
      setTimeout(() => { button.disabled = false; }, 4000);
    });
    document.addEventListener("change", (e) => { if (e.target.matches("[data-submit]")) e.target.form.requestSubmit(); });
  }

  async function copied(button) {
    const from = document.getElementById(button.dataset.copy);
    const text = from ? (from.value ?? [...(from.matches("ol,ul") ? from.children : [from])].map((c) => c.innerText.replace(/\s+/g, " ").trim()).join("\n")) : button.dataset.copyText;
    try { await navigator.clipboard.writeText(text || ""); say("Copied"); } catch { say("The browser does not allow copying here"); }
  }

  // say tells something in passing, to screen readers too.
  function say(text) {
    const place = $("#said");
    if (!place) return;
    place.textContent = text;
    place.classList.remove("sr");
    clearTimeout(say.timer);
    say.timer = setTimeout(() => { place.textContent = ""; place.classList.add("sr"); }, 2500);
  }

  /* Times: "3 min ago" and countdowns go on. The server's clock counts. */
  let skew = 0;
  const clock = () => Date.now() + skew;
  function span(seconds) {
    const s = Math.max(0, Math.round(seconds));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 86400) return `${Math.floor(s / 3600)} h` + (s < 36000 && s % 3600 >= 60 ? ` ${Math.floor((s % 3600) / 60)} min` : "");
    return `${Math.floor(s / 86400)} d`;
  }
  function tick() {
    for (const t of $$("time[data-ago]")) {
      const past = (clock() - Date.parse(t.dateTime)) / 1000;
      const text = past < 5 && past > -5 ? "just now" : past < 0 ? `in ${span(-past)}` : `${span(past)} ago`;
      if (t.textContent !== text) t.textContent = text;
    }
    for (const t of $$("time[data-countdown]")) {
      const left = Math.max(0, Math.round((Date.parse(t.dateTime) - clock()) / 1000));
      const h = Math.floor(left / 3600), m = Math.floor((left % 3600) / 60), s = String(left % 60).padStart(2, "0");
      const text = h ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
      if (t.textContent !== text) t.textContent = text;
    }
  }
  function times() {
    const now = Date.parse($("meta[name=now]")?.content);
    if (now && Math.abs(now - Date.now()) > 2000) skew = now - Date.now();
    tick();
    setInterval(tick, 1000);
  }

  /* Pictures that cannot be loaded leave their place to the drawing behind. */
  function pictures() {
    document.addEventListener("error", (e) => { if (e.target.matches?.(".art img")) lost(e.target); }, true);
    $$(".art img").forEach((img) => { if (img.complete && img.naturalWidth === 0 && img.getAttribute("src")) lost(img); });
  }
  function lost(img) {
    const blank = $("#blank-art")?.content.cloneNode(true);
    if (blank) img.replaceWith(blank); else img.remove();
  }

  /* Charts: <div data-chart="URL"> fetches {times, unit, series: [{name, unit,
     kind, values, color}]} and draws it; the numbers are in a table below. */
  const charts = new Set();
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  function repaint() { for (const c of charts) { if (c.host.isConnected) draw(c); else drop(c); } }
  function drop(c) { c.plot?.destroy(); c.watch?.disconnect(); charts.delete(c); }

  async function chart(host) {
    if (host.chart) return;
    const c = host.chart = { host, data: null, plot: null };
    charts.add(c);
    await fetched(c);
    c.watch = new ResizeObserver(() => { if (c.plot && host.clientWidth) c.plot.setSize({ width: host.clientWidth, height: height(host) }); });
    c.watch.observe(host);
    const every = Number(host.dataset.every);
    if (every) c.timer = setInterval(() => {
      if (!host.isConnected) { clearInterval(c.timer); drop(c); return; }
      if (!document.hidden) fetched(c);
    }, every * 1000);
  }
  async function fetched(c) {
    try {
      const answer = await fetch(c.host.dataset.chart, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.statusText);
      c.data = await answer.json();
      draw(c);
    } catch (err) {
      if (!c.data) c.host.textContent = "The numbers of this chart could not be read.";
    }
  }
  const height = (host) => Number(host.dataset.height) || 200;
  const tone = (s, i) => css(`--${s.color || "s" + (i % 6 + 1)}`);
  function alpha(color, a) {
    const m = /^#(..)(..)(..)$/.exec(color);
    return m ? `rgba(${parseInt(m[1], 16)},${parseInt(m[2], 16)},${parseInt(m[3], 16)},${a})` : color;
  }
  function draw(c) {
    const { host, data } = c;
    const figure = host.closest(".chart");
    c.plot?.destroy();
    host.textContent = "";
    const empty = !data.times?.length || data.series.every((s) => s.values.every((v) => v == null));
    if (empty) { host.append(node("p", "empty", "Nothing to show for this time yet.")); legend(figure, c, null); table(figure, data); return; }
    const stacked = data.stacked ? stack(data.series) : data.series.map((s) => s.values);
    const muted = css("--muted"), line = css("--line");
    const font = "11px " + getComputedStyle(document.body).fontFamily;
    const bars = uPlot.paths.bars({ size: [0.72, 40], radius: 0.12 });
    const order = data.series.map((_, i) => i);
    if (data.stacked) order.reverse(); // the tallest behind
    const axisValues = (u, list) => list.map((v) => compact(v) + (data.unit && data.unit.length < 4 ? data.unit === "%" ? "%" : " " + data.unit : ""));
    const options = {
      width: host.clientWidth || 300, height: height(host),
      padding: [8, 8, 0, 0],
      tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), "UTC"),
      legend: { show: false },
      cursor: { points: { size: 6 }, drag: { x: false, y: false }, y: false },
      scales: {
        x: { time: !data.labels, range: data.series.some((s) => s.kind === "bars") ? (u, a, b) => { const step = data.times.length > 1 ? data.times[1] - data.times[0] : 60; return [a - step / 2, b + step / 2]; } : data.times.length === 1 && !data.labels ? (u, a) => [a - 1800, a + 1800] : undefined },
        y: { range: (u, a, b) => { const [lo, hi] = data.range || []; const low = lo ?? Math.min(0, a); const high = hi ?? Math.max(b, low + 1); return [low, hi ?? high + (high - low) * 0.06]; } },
      },
      axes: [
        { stroke: muted, font, size: data.labels ? 26 : 40, gap: 4, space: 60, grid: { show: false }, ticks: { show: false }, values: data.labels ? (u, list) => list.map((v) => data.labels[data.times.indexOf(v)] ?? "") : [[86400, "{DD} {MMM}", null, null, null, null, null, null, 1], [3600, "{HH}:{mm}", "\n{DD} {MMM}", null, null, null, null, null, 1], [60, "{HH}:{mm}", "\n{DD} {MMM}", null, null, null, null, null, 1], [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]] },
        { stroke: muted, font, size: (u, list) => Math.max(32, 12 + Math.max(0, ...(list || []).map((t) => String(t).length)) * 6.4), gap: 4, space: 34, grid: { stroke: line, width: 1 }, ticks: { show: false }, values: axisValues },
      ],
      series: [{}, ...order.map((i) => {
        const s = data.series[i], color = tone(s, i), kind = s.kind || "line";
        if (kind === "bars") return { label: s.name, stroke: color, fill: data.stacked ? color : alpha(color, 0.85), width: 0, paths: bars, points: { show: false } };
        if (kind === "points") return { label: s.name, stroke: color, width: 0, paths: () => null, points: { show: true, size: 5, fill: color } };
        return { label: s.name, stroke: kind === "edge" ? alpha(color, 0.25) : color, width: kind === "edge" ? 1 : 1.75, spanGaps: !!s.join, dash: s.dash ? [5, 4] : undefined, fill: kind === "area" ? alpha(color, 0.14) : undefined, points: { show: s.values.filter((v) => v != null).length < 3, size: 5, fill: color }, paths: s.step ? uPlot.paths.stepped({ align: 1 }) : undefined };
      })],
      bands: data.bands?.map(([top, bottom, color]) => ({ series: [order.indexOf(top) + 1, order.indexOf(bottom) + 1], fill: alpha(css(`--${color || "s1"}`), 0.14) })),
      hooks: { setCursor: [(u) => legend(figure, c, u.cursor.idx)] },
    };
    c.plot = new uPlot(options, [data.times, ...order.map((i) => stacked[i])], host);
    legend(figure, c, null);
    table(figure, data);
  }
  function stack(series) {
    const sum = series[0].values.map(() => 0);
    return series.map((s) => s.values.map((v, i) => (sum[i] += v || 0)));
  }
  function compact(v) {
    if (v == null) return "";
    const a = Math.abs(v);
    if (a >= 1e6) return +(v / 1e6).toFixed(1) + "M";
    if (a >= 1e4) return +(v / 1e3).toFixed(1) + "k";
    return String(+v.toFixed(a < 10 ? 2 : 1));
  }
  const moment = (data, i) => data.labels ? data.labels[i] : new Date(data.times[i] * 1000).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
  function node(tag, cls, text) { const e = document.createElement(tag); if (cls) e.className = cls; if (text != null) e.textContent = text; return e; }
  function legend(figure, c, at) {
    const list = $(".legend", figure || document.createElement("i"));
    if (!list) return;
    const { data } = c;
    list.textContent = "";
    data.series.forEach((s, i) => {
      if (s.kind === "edge") return;
      const item = node("li");
      const dot = node("span", "dot " + (s.color || "s" + (i % 6 + 1)));
      item.append(dot, node("span", "", s.name));
      const v = at == null ? s.total ?? null : s.values[at];
      if (v != null) item.append(node("b", "", number(v) + (s.unit || data.unit ? " " + (s.unit || data.unit) : "")));
      list.append(item);
    });
    if (at != null) list.append(node("li", "", moment(data, at) + (data.labels ? "" : " UTC")));
  }
  function table(figure, data) {
    const place = $(".numbers", figure || document.createElement("i"));
    if (!place) return;
    const fill = () => {
      const t = node("table"), head = node("tr"), body = node("tbody");
      head.append(node("th", "", data.labels ? "" : "Time (UTC)"), ...data.series.map((s) => node("th", "num", s.name)));
      head.children[0].scope = "col";
      data.times.forEach((_, i) => {
        const row = node("tr"), first = node("th", "", moment(data, i));
        first.scope = "row";
        row.append(first, ...data.series.map((s) => node("td", "num", number(s.values[i]))));
        body.append(row);
      });
      const thead = node("thead"); thead.append(head);
      t.append(thead, body);
      place.replaceChildren(t);
    };
    const details = place.closest("details");
    if (!details || details.open) fill();
    else { details.ontoggle = () => { if (details.open) fill(); }; place.replaceChildren(); }
  }

  /* The live stream: one connection a page, and none while nobody looks.
     <… data-live="kind=computed"> opens it; every entry becomes the DOM events
     "live" and "live-KIND" on body, with the entry as their detail. */
  const stream = { source: null, last: null, query: null };
  function state(name) { for (const e of $$("[data-live-state]")) { e.dataset.liveState = name; const text = $("span:last-child", e); if (text) text.textContent = { live: "live", waiting: "connecting", off: "not connected" }[name]; } }
  function live() {
    const asked = $("[data-live]");
    if (!asked) return;
    stream.query = asked.dataset.live;
    stream.last = asked.dataset.after || null;
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    addEventListener("pagehide", close);
    addEventListener("pageshow", (e) => { if (e.persisted) open(); });
    if (!document.hidden) open();
  }
  function close() { stream.source?.close(); stream.source = null; }
  function open() {
    if (stream.source) return;
    const q = new URLSearchParams(stream.query);
    if (stream.last) q.set("after", stream.last);
    const source = stream.source = new EventSource("/api/v1/stream?" + q);
    state("waiting");
    const tell = (name) => (e) => {
      if (e.lastEventId) stream.last = e.lastEventId;
      let detail = {};
      try { detail = JSON.parse(e.data); } catch { /* tells nothing */ }
      state("live");
      document.body.dispatchEvent(new CustomEvent("live-" + name.replaceAll("_", "-"), { detail }));
      if (detail.kind) document.body.dispatchEvent(new CustomEvent("live", { detail }));
    };
    for (const name of ["start", "gap", "computed", "withdrawn", "deferred", "failed", "run_started", "cancel_asked", "run_ended", "paused", "resumed", "settings_changed", "access_changed", "nfts_registered"]) source.addEventListener(name, tell(name));
    source.addEventListener("end", () => { close(); state("waiting"); setTimeout(() => { if (!document.hidden) open(); }, 3000); });
    source.onopen = () => state("live");
    source.onerror = () => {
      state("waiting");
      if (source.readyState === EventSource.CLOSED && stream.source === source) { // refused: it will not try by itself
        stream.source = null;
        state("off");
        setTimeout(() => { if (!document.hidden) open(); }, 10000);
      }
    };
  }

  // What swaps bring in is set up like what was there.
  function setUp(from) {
    $$("[data-chart]", from).forEach(chart);
    tick();
  }

  window.poa = { $, $$, node, number, span, say, clock, setUp };
  document.addEventListener("DOMContentLoaded", () => {
    theme(); keys(); times(); pictures(); live(); setUp(document);
    document.body.addEventListener("htmx:after:swap", () => setUp(document));
    document.dispatchEvent(new Event("poa:ready"));
  });
})();
