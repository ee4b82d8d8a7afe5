// Runs before the page is drawn: what needs a script may show itself.
document.documentElement.classList.add("js");
