// Settings: what is written is checked by the server, the changes are counted,
// and a setting can be found by its name or what it is for.
document.addEventListener("poa:ready", () => {
  "use strict";
  const { $, $$ } = window.poa;

  const find = $("#find");
  const cards = $$(".settings .card");
  find?.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase().split(/\s+/);
    for (const card of cards) {
      let some = false;
      for (const row of $$(".setting", card)) {
        const text = (row.dataset.setting + " " + $(".about", row).textContent).toLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word));
        some ||= !row.hidden;
      }
      card.hidden = !some;
    }
  });

  const form = $("#settings");
  if (!form) return;
  const told = $("#changes"), first = told.textContent, undo = $("#undo");
  const plural = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;
  const fieldOf = (name) => document.getElementById("f-" + name);

  function show(answer) {
    for (const row of $$(".setting", form)) {
      const name = row.dataset.setting, field = fieldOf(name);
      if (!field) continue;
      const problem = answer.problems[name] || "";
      document.getElementById("e-" + name).textContent = problem;
      if (problem) field.setAttribute("aria-invalid", "true"); else field.removeAttribute("aria-invalid");
      row.classList.toggle("changed", answer.changed.includes(name) || problem !== "");
    }
    const wrong = Object.keys(answer.problems).length, n = answer.changed.length;
    undo.hidden = !wrong && !n;
    told.classList.toggle("down", wrong > 0);
    told.parentElement.classList.toggle("pending", wrong + n > 0);
    if (wrong) told.textContent = answer.problems[""] || `${plural(wrong, "value")} cannot be saved as it is: ${Object.keys(answer.problems).join(", ")}`;
    else if (!n) told.textContent = first;
    else told.textContent = `${plural(n, "change")}, not saved yet.` + (answer.publishing ? " Scores would get a new scoring version." : "");
  }

  let timer = 0, asked = 0;
  async function check() {
    const mine = ++asked;
    try {
      const answer = await fetch(form.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.statusText);
      const checked = await answer.json();
      if (mine === asked) show(checked);
    } catch {
      if (mine === asked) told.textContent = "The server could not check this; it will when you review.";
    }
  }
  function soon() { clearTimeout(timer); timer = setTimeout(check, 250); }
  form.addEventListener("input", soon);
  form.addEventListener("reset", () => setTimeout(check));
  form.addEventListener("click", (e) => {
    const button = e.target.closest("[data-default]");
    if (!button) return;
    const field = fieldOf(button.closest(".setting").dataset.setting);
    if (field.type === "checkbox") field.checked = button.dataset.default === "true";
    else field.value = button.dataset.default;
    soon();
  });
  if ($$(".error", form).some((e) => e.textContent) || $$("input, select", form).some((f) => (f.type === "checkbox" ? f.checked !== f.defaultChecked : f.tagName === "INPUT" && f.type !== "hidden" && f.value !== f.defaultValue))) check(); // the server or the browser filled it in
});
