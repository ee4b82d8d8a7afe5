// Try it: the rating under the pointer, and what happens later to the NFTs that
// were voted on.
document.addEventListener("poa:ready", () => {
  "use strict";
  const { $$, node } = window.poa;

  document.addEventListener("input", (e) => {
    if (!e.target.matches(".rate [type=range]")) return;
    const told = e.target.form.querySelector("output");
    if (told) told.textContent = e.target.value;
  });

  // A computation that is not of the vote itself, such as a batch's, or one
  // that another's vote triggered.
  const later = new Map(); // NFT: what came later, so that it survives a swap
  let live = false;
  const told = (e) => (e.kind === "withdrawn" ? "Its score ceased to exist." : `Later: POA ${e.poa.toFixed(2)}, computed by ${e.reason.replaceAll("_", " ")}.`);
  function show() {
    for (const box of $$(".effect-nft")) {
      const vote = Number(box.closest(".effect").dataset.vote);
      const list = box.querySelector(".later");
      const lines = (later.get(box.dataset.nft) || []).filter((e) => (e.vote || 0) > vote || e.run);
      list.replaceChildren(...lines.slice(-3).map((e) => node("li", "small", told(e))));
    }
  }
  function come(e) {
    const nft = e.detail.nft;
    if (!nft || !$$(".effect-nft").some((box) => box.dataset.nft === nft)) return;
    later.set(nft, [...(later.get(nft) || []), e.detail].slice(-10));
    show();
  }
  document.body.addEventListener("live-computed", come);
  document.body.addEventListener("live-withdrawn", come);
  document.body.addEventListener("htmx:after:swap", () => {
    show();
    const state = document.querySelector("#arena [data-live-state]");
    if (state && live) { state.dataset.liveState = "live"; state.lastElementChild.textContent = "live"; }
  });
  document.body.addEventListener("live-start", () => { live = true; });
});
