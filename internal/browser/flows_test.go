package browser

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestVoteIsSeen casts a vote over the API: it appears in the live log, and the
// NFT's page shows the score that was answered.
func TestVoteIsSeen(t *testing.T) {
	t.Parallel()
	s := serve(t)
	v := s.sign("viewer")
	v.visit("/log")
	v.wait(`document.querySelector("[data-live-state=live]")`)
	answer := s.vote(`{"key": "seen", "voter": "visitor", "kind": "matchup", "a": "fugz-6", "b": "kabu-13", "outcome": "b", "super": true}`)
	if len(answer.Triggered) != 2 || answer.Triggered[0].NFT != "fugz-6" {
		t.Fatalf("the vote triggered %+v", answer.Triggered)
	}
	score := fmt.Sprintf("%.2f", answer.Triggered[0].Score.POA)
	v.wait(fmt.Sprintf(`[...document.querySelectorAll("#entries li")].some((e) => e.innerText.includes("fugz-6") && e.innerText.includes("super vote") && e.innerText.includes(%q))`, score))
	v.click(`#entries a[href="/nfts/fugz-6"]`)
	v.wait(fmt.Sprintf(`location.pathname === "/nfts/fugz-6" && document.querySelector("main").innerText.includes(%q)`, score))
	v.clean("the log and the NFT's page")
}

// TestVoteOnDots follows the live log to NFTs whose ids browsers take for folders.
func TestVoteOnDots(t *testing.T) {
	t.Parallel()
	s := serve(t)
	v := s.sign("operator")
	v.register("odd", ".", "..")
	v.visit("/log")
	v.wait(`document.querySelector("[data-live-state=live]")`)
	for _, id := range []string{".", ".."} {
		s.vote(fmt.Sprintf(`{"key": "dots%s", "voter": "visitor", "kind": "fire", "a": %q}`, id, id))
		v.wait(fmt.Sprintf(`[...document.querySelectorAll("#entries a.of")].some((a) => a.textContent === %q && a.getAttribute("href") === "/nfts/?is=%s")`, id, id))
	}
	v.click(`#entries a.of[href="/nfts/?is=.."]`)
	v.wait(`document.querySelector("h1").textContent === ".." && location.search === "?is=.."`)
	v.clean("the log and the NFT's page")
}

// TestChartsTellUTC draws a chart in a zone far from UTC: its numbers and axis
// are those of UTC.
func TestChartsTellUTC(t *testing.T) {
	t.Parallel()
	s := serve(t)
	v := s.sign("viewer")
	drawn := func(zone string) string {
		t.Helper()
		v.must(v.Zone(zone))
		v.visit("/nfts/fugz-6")
		text, err := Eval[string](v.Tab, `(async () => {
			const texts = [], fill = CanvasRenderingContext2D.prototype.fillText;
			CanvasRenderingContext2D.prototype.fillText = function (text, ...at) { texts.push(text); fill.call(this, text, ...at); };
			document.querySelector("[data-chart]").style.width = "300px"; // it is drawn again
			for (let i = 0; i < 100 && !texts.length; i++) await new Promise((done) => setTimeout(done, 50));
			const first = document.querySelector(".chart details:has(.numbers)");
			first.open = true;
			while (!first.querySelector("tbody th")) await new Promise((done) => setTimeout(done, 50));
			return Intl.DateTimeFormat().resolvedOptions().timeZone + "\n" + [...first.querySelectorAll("tbody th")].map((e) => e.textContent).join() + "\n" + [...new Set(texts)].join();
		})()`)
		v.must(err)
		return text
	}
	_, utc, _ := strings.Cut(drawn("UTC"), "\n")
	zone, kathmandu, _ := strings.Cut(drawn("Asia/Kathmandu"), "\n")
	if zone != "Asia/Kathmandu" && zone != "Asia/Katmandu" {
		t.Fatalf("the browser is in %s", zone)
	}
	if utc != kathmandu || len(utc) < 20 {
		t.Errorf("the chart says\n%s\nand in Kathmandu\n%s", utc, kathmandu)
	}
	v.clean("charts")
}

// TestJobsFollowTheTheme switches the theme: the job queue's pages in their
// frame follow, at once and when they are loaded.
func TestJobsFollowTheTheme(t *testing.T) {
	t.Parallel()
	s := serve(t)
	v := s.sign("operator")
	const frame = `document.querySelector("iframe.jobs").contentDocument?.documentElement.classList.contains(%q)`
	v.visit("/jobs/")
	v.wait(fmt.Sprintf(frame, "light"))
	v.do(`document.querySelector("[data-theme-form]").requestSubmit()`)
	v.wait(fmt.Sprintf(frame, "dark"))
	v.visit("/jobs/")
	v.wait(fmt.Sprintf(frame, "dark"))
	v.clean("jobs")
}

// TestCancelIsFollowed cancels a run: the page tells of it until it has ended.
func TestCancelIsFollowed(t *testing.T) {
	t.Parallel()
	s := serve(t, "batch.delay=5s")
	v := s.sign("operator")
	v.visit("/scheduler")
	v.do(`fetch("/scheduler/backfill", {method: "POST", body: new URLSearchParams({})}).then((r) => { location = r.url; })`)
	v.wait(`/has begun/.test(document.querySelector("#running").innerText)`)
	v.click(`main form[action$="/cancel"] button`)
	v.wait(`/^.run=\d+$/.test(location.search) && /is cancelled/.test(document.querySelector("#running").innerText)`)
	v.wait(`!document.querySelector("main").innerText.includes("ends after the NFTs under way")`)
	v.clean("cancelling")
}

// TestRunNow runs a batch by hand: its progress shows, and it ends in the
// history.
func TestRunNow(t *testing.T) {
	t.Parallel()
	s := serve(t, "batch.delay=150ms")
	v := s.sign("operator")
	v.visit("/scheduler")
	v.do(`document.querySelector("form[action='/scheduler/run'], form button[formaction='/scheduler/run'], form button[formmethod=post]").closest("form").querySelector("button.primary").click()`)
	v.wait(`document.querySelector("main progress")`)
	v.wait(`!document.querySelector("main progress") && [...document.querySelectorAll("#runs tbody tr, main tbody tr")].some((e) => /by hand|manual/.test(e.innerText) && /done/.test(e.innerText))`)
	v.clean("the scheduler")
}

// TestPauseStopsBatches pauses batches where a window is short: none begins
// until they are resumed.
func TestPauseStopsBatches(t *testing.T) {
	t.Parallel()
	const window = 4 * time.Second
	s := serve(t, "batch.every=4s", "batch.cap=2s", "batch.delay=1ms", "batch.size=2")
	v := s.sign("operator")
	latest := func() int64 {
		t.Helper()
		n, err := Eval[int64](v.Tab, `fetch("/api/v1/runs?kind=batch&limit=1").then((r) => r.json()).then((page) => page.items[0]?.number || 0)`)
		v.must(err)
		return n
	}
	begins := func(after int64) {
		t.Helper()
		v.wait(fmt.Sprintf(`(async () => (await (await fetch("/api/v1/runs?kind=batch&limit=1")).json()).items[0]?.number > %d)()`, after))
	}
	begins(0)

	v.visit("/scheduler")
	v.fill(`#reason-batches`, "the database is moved")
	v.do(`document.querySelector("#reason-batches").form.requestSubmit()`)
	v.wait(`document.querySelector("main").innerText.includes("the database is moved")`)
	// A run that was beginning while batches were paused may still appear.
	now := func() time.Time {
		text, err := Eval[string](v.Tab, `fetch("/healthz").then((r) => r.headers.get("Date"))`)
		v.must(err)
		at, err := time.Parse(time.RFC1123, text)
		v.must(err)
		return at
	}
	until := func(at time.Time) {
		t.Helper()
		v.wait(fmt.Sprintf(`(async () => Date.parse((await fetch("/healthz")).headers.get("Date")) >= %d)()`, at.UnixMilli()))
	}
	until(now().Truncate(window).Add(window + time.Second))
	before := latest()
	until(now().Truncate(window).Add(2*window + time.Second))
	if after := latest(); after != before {
		t.Errorf("run %d began while batches were paused; the latest before was %d", after, before)
	}

	v.do(`document.querySelector("form[action='/scheduler/resume'] button").click()`)
	begins(before)
	v.visit("/audit?of=pause.batches")
	v.wait(`document.querySelectorAll(".audit tbody tr").length === 2 && document.querySelector(".audit").innerText.includes("the database is moved")`)
	v.clean("pausing")
}

// TestSettingIsChanged changes a setting as people do: it is in force, and in
// the audit log.
func TestSettingIsChanged(t *testing.T) {
	t.Parallel()
	s := serve(t)
	v := s.sign("operator")
	v.visit("/settings")
	field := `[id="f-batch.size"]`
	v.fill(field, "twenty")
	v.wait(`document.querySelector("` + `[id='e-batch.size']` + `").textContent.includes("whole number")`)
	v.fill(field, "21")
	v.wait(`document.querySelector("#changes").textContent.startsWith("1 change")`)
	v.click(`#review`)
	v.wait(`location.pathname === "/settings/review" && document.querySelector("ins").textContent === "21"`)
	v.fill(`[name=why]`, "a larger batch")
	v.do(`document.querySelector("[name=why]").form.requestSubmit()`)
	v.wait(`location.pathname === "/settings" && document.querySelector(".note.ok")?.textContent.includes("1 setting changed")`)
	v.wait(`(async () => (await (await fetch("/api/v1/settings")).text()).includes('"value":21'))()`)
	v.visit("/audit")
	v.wait(`[...document.querySelectorAll(".audit tbody tr")].some((e) => ["operator", "batch.size", "20", "21", "a larger batch"].every((text) => e.innerText.includes(text)))`)
	v.clean("changing a setting")
}

// TestArena votes with keys, and sees what the vote caused.
func TestArena(t *testing.T) {
	t.Parallel()
	s := serve(t)
	v := s.sign("operator")
	v.visit("/try")
	v.wait(`document.querySelector("[data-live-state=live]")`)
	key := func(name string) {
		v.do(fmt.Sprintf(`document.body.dispatchEvent(new KeyboardEvent("keydown", {key: %q, bubbles: true}))`, name))
	}
	key("s")
	v.wait(`document.querySelector("[name=super]").checked`)
	key("ArrowLeft")
	v.wait(`document.querySelectorAll(".effect").length === 1 && document.querySelector(".effect").innerText.includes("Super vote")`)
	key("f")
	v.wait(`document.querySelectorAll(".effect").length === 2 && document.querySelector(".effect").innerText.includes("FIRE for")`)
	v.wait(`document.querySelector(".fire.stands")`)
	v.clean("the arena")
}

// TestForgedRequestOfViewer sends, in a viewer's session, what only operators
// may do.
func TestForgedRequestOfViewer(t *testing.T) {
	t.Parallel()
	s := serve(t)
	v := s.sign("viewer")
	v.visit("/settings")
	for path, body := range map[string]string{
		"/settings":        `{"s.batch.size": "21", "was.batch.size": "20", why: "forged"}`,
		"/scheduler/run":   `{size: "5"}`,
		"/scheduler/pause": `{what: "batches", reason: "forged"}`,
		"/try":             `{kind: "fire", a: "fugz-6"}`,
	} {
		status, err := Eval[int](v.Tab, fmt.Sprintf(`fetch(%q, {method: "POST", body: new URLSearchParams(%s)}).then((r) => r.status)`, path, body))
		v.must(err)
		if status != 403 {
			t.Errorf("POST %s by a viewer: status %d, want 403", path, status)
		}
	}
	v.wait(`(async () => !(await (await fetch("/api/v1/settings")).text()).includes('"value":21'))()`)
	runs, err := Eval[int](v.Tab, `fetch("/api/v1/runs?kind=manual&limit=5").then((r) => r.json()).then((page) => page.items.length)`)
	v.must(err)
	if runs != 0 {
		t.Errorf("%d runs were started", runs)
	}
}
