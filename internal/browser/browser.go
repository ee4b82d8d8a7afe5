// Package browser looks at the pages of the panel in Chromium, for the
// browser tests and the pictures of the documentation.
package browser

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Start starts a headless Chromium with a profile of its own in dir. Cancel
// ends it.
func Start(ctx context.Context, dir string) (context.Context, context.CancelFunc, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(dir), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	ctx, end := chromedp.NewContext(ctx)
	cancel := func() { end(); stop() }
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		cancel()
		return nil, nil, fmt.Errorf("starting Chromium: %w", err)
	}
	return ctx, cancel, nil
}

// Tab is a tab with cookies of its own.
type Tab struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex // guards what follows
	errors []string   // of the page
}

// NewTab opens a tab in the browser of a context from Start.
func NewTab(ctx context.Context) (*Tab, error) {
	t := &Tab{}
	t.ctx, t.cancel = chromedp.NewContext(ctx, chromedp.WithNewBrowserContext())
	if err := chromedp.Listen(t.ctx, t.hear); err != nil {
		t.cancel()
		return nil, fmt.Errorf("opening a tab: %w", err)
	}
	return t, nil
}

// Close closes the tab.
func (t *Tab) Close() { t.cancel() }

// hear keeps what a page complains about.
func (t *Tab) hear(event any) {
	var text string
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level != log.EntryLevelError && e.Entry.Level != log.EntryLevelWarning {
			return
		}
		text = fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type != runtime.ConsoleAPICalledTypeError && e.Type != runtime.ConsoleAPICalledTypeWarning {
			return
		}
		text = string(e.Type) + " on the console"
		for _, a := range e.Args {
			text += " " + a.Description + string(a.Value)
		}
	default:
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errors = append(t.errors, text)
}

// Errors returns what pages complained about since it was last asked: errors,
// warnings, and what their policy blocked.
func (t *Tab) Errors() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.errors
	t.errors = nil
	return list
}

// Visit goes to a page and waits until its scripts have run and its charts are
// drawn.
func (t *Tab) Visit(url string) error {
	if err := chromedp.Do(t.ctx, chromedp.Navigate(url)); err != nil {
		return fmt.Errorf("going to %s: %w", url, err)
	}
	return t.Wait(`document.readyState === "complete" && !document.querySelector("[data-chart] noscript")`, time.Minute)
}

// Look sets the size of the window in pixels, and the colour scheme the system
// prefers: light or dark.
func (t *Tab) Look(width, height int64, scheme string) error {
	prefer := chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return err
	})
	if err := chromedp.Do(t.ctx, chromedp.EmulateViewport(width, height), prefer); err != nil {
		return fmt.Errorf("setting a window of %d pixels, %s: %w", width, scheme, err)
	}
	return nil
}

// Eval returns the value of a JavaScript expression, or of what it promises.
func Eval[T any](t *Tab, expression string) (T, error) {
	return chromedp.Run(t.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// Wait waits until a JavaScript expression, or what it promises, is true, on
// whatever page the tab is
// then.
func (t *Tab) Wait(expression string, limit time.Duration) error {
	var last error
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		var is bool
		if is, last = Eval[bool](t, "Promise.resolve("+expression+").then(Boolean)"); is && last == nil {
			return nil
		}
		select {
		case <-t.ctx.Done():
			return t.ctx.Err()
		case <-time.After(40 * time.Millisecond):
		}
	}
	text, _ := Eval[string](t, `location.href + "\n" + document.body.innerText`)
	return fmt.Errorf("waited %v in vain for %s (%v); the page is %s", limit, expression, last, strings.TrimSpace(text))
}

// PNG is a picture of what the window shows.
func (t *Tab) PNG() ([]byte, error) { return chromedp.Run(t.ctx, chromedp.CaptureScreenshot()) }
