// The live log: entries come in at the top; while it is paused they are kept
// back and counted. Those of a collection are asked for when something happens,
// because the stream does not tell collections.
document.addEventListener("poa:ready", () => {
  "use strict";
  const { $, $$, node, clock } = window.poa;
  const list = $("#entries");
  if (!list || list.dataset.live === undefined) return;
  const words = JSON.parse(list.dataset.words);
  const shown = 500; // entries that are kept on the page
  const kept = 5000; // entries that are kept back
  const button = $("#pause");
  const blank = $("#log-entry").content.firstElementChild;
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const known = new Set($$("li[id]", list).map((li) => li.id));
  let paused = false, waiting = [], missed = 0, timer = 0;

  const two = (n) => String(n).padStart(2, "0");
  const fixed = (x) => x.toFixed(2).replace("-", "−");
  function when(t, at) {
    t.dateTime = at;
    const d = new Date(at), time = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
    t.textContent = `${d.getUTCDate()} ${months[d.getUTCMonth()]} ${time}`;
    t.title = `${d.getUTCDate()} ${months[d.getUTCMonth()]} ${d.getUTCFullYear()}, ${time} UTC`;
  }
  function reasons(e) {
    if (!e.reason) return "";
    const others = Object.keys(e.reasons || {}).filter((r) => r !== e.reason).sort();
    return [e.reason, ...others].map((r) => (words.reasons[r] || r.replaceAll("_", " ")) + ((e.reasons?.[r] || 0) > 1 ? ` ×${e.reasons[r]}` : "")).join(", ");
  }
  // As nftPath of the templates: browsers take "." and ".." for folders.
  const nftPath = (id) => "/nfts/" + (id === "." || id === ".." ? "?is=" + id : encodeURIComponent(id));
  function row(e) {
    const li = blank.cloneNode(true);
    const part = (name) => li.querySelector(name);
    li.id = "e-" + e.number;
    when(part("time"), e.at);
    const badge = part(".badge");
    badge.className = "badge " + (words.tones[e.kind] || "");
    badge.textContent = e.kind.replaceAll("_", " ");
    if (e.nft) { part(".of").textContent = part(".of").title = e.nft; part(".of").href = nftPath(e.nft); } else part(".of").remove();
    part(".why").textContent = reasons(e);
    part(".detail").textContent = e.detail || "";
    if (e.run) { part(".run").textContent = "run " + e.run; part(".run").href = "/scheduler/runs/" + e.run; } else part(".run").remove();
    if (e.who) part(".who").textContent = "by " + e.who; else part(".who").remove();
    if (e.poa != null) {
      part(".poa").textContent = fixed(e.poa);
      const by = e.poa_before == null ? null : e.poa - e.poa_before;
      const tone = by == null ? "badge info" : by > 0 ? "up" : by < 0 ? "down" : "muted";
      const text = by == null ? "new" : fixed(by) === "0.00" || fixed(by) === "−0.00" ? "0.00" : (by > 0 ? "+" : "") + fixed(by);
      part(".change").append(node("span", tone, text));
    }
    return li;
  }
  function gap(n) { return node("li", "gap", n ? `${n} entries are not shown here. Download the log, or load the page again, to see them.` : "Entries may be missing here. Load the page again to see them."); }

  function come(li) {
    if (li.id) {
      if (known.has(li.id)) return;
      known.add(li.id);
    }
    if (waiting.length >= kept) { waiting.shift(); missed++; }
    waiting.push(li);
    if (paused) tell();
    else if (!timer) timer = setTimeout(show, 120);
  }
  function show() {
    timer = 0;
    if (paused || !waiting.length && !missed) return;
    const batch = document.createDocumentFragment();
    if (waiting.length > shown) { missed += waiting.length - shown; waiting = waiting.slice(-shown); }
    for (const li of waiting.reverse()) { li.classList.add("fresh"); batch.append(li); }
    if (missed) batch.append(gap(missed));
    waiting = [];
    missed = 0;
    list.prepend(batch);
    while (list.children.length > shown) { known.delete(list.lastElementChild.id); list.lastElementChild.remove(); }
    $("#log-empty").classList.add("hidden");
  }
  function tell() {
    const n = waiting.length + missed;
    $("span", button).textContent = !paused ? "Pause" : n ? `Go on · ${n.toLocaleString("en-US")} new` : "Go on";
    button.classList.toggle("primary", paused);
    button.setAttribute("aria-pressed", String(paused));
  }
  button.addEventListener("click", () => {
    paused = !paused;
    if (!paused) show();
    tell();
  });

  document.body.addEventListener("live-gap", (e) => come(gap(e.detail.missed || 0)));
  if (!list.dataset.collection) {
    document.body.addEventListener("live", (e) => come(row(e.detail)));
    return;
  }
  let asking = 0, again = false;
  async function ask() {
    if (asking) { again = true; return; }
    asking = clock();
    try {
      const answer = await fetch(location.href, { headers: { "HX-Request": "true", Accept: "text/html" } });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const li of $$("#entries > li[id]", page).reverse()) come(document.adoptNode(li));
      }
    } catch { /* the next entry asks again */ }
    setTimeout(() => { asking = 0; if (again) { again = false; ask(); } }, 2000);
  }
  document.body.addEventListener("live", ask);
});
