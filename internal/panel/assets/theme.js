// Runs before the page is drawn: what needs a script may show itself.
document.documentElement.classList.add("js");
// The job queue's pages, which one page has in a frame, keep their theme under
// a name of their own, and follow it when it changes.
window.jobsTheme = () => {
  try { localStorage.setItem("theme", document.documentElement.dataset.theme || "system"); } catch { /* then the frame is as the system is */ }
};
window.jobsTheme();
