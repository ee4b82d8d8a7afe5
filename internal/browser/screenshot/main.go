// The screenshot command plays the demo, waits until its people have voted for
// a while, and makes the README's picture of the scheduler's page, light and
// dark:
//
//	go run ./internal/browser/screenshot docs/images
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"poa/internal/browser"
	"poa/internal/program"
)

const (
	width, height = 1440, 1098
	patience      = 3 * time.Minute
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: screenshot FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(folder string) (err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "poa-screenshot-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cmd := exec.Command("bin/poa", "demo", "--database", "sqlite:"+filepath.Join(dir, "poa.db"), "--listen", "127.0.0.1:0", "--rate", "20")
	demo, enter, err := program.Launch(cmd, regexp.MustCompile(`(http://[^/]+)/enter\?token=\S+`), patience)
	if err != nil {
		return err
	}
	defer func() { _ = demo.Kill() }() // it may have ended
	ctx, cancel, err := browser.Start(context.Background(), filepath.Join(dir, "profile"))
	if err != nil {
		return err
	}
	defer cancel()
	tab, err := browser.NewTab(ctx)
	if err != nil {
		return err
	}
	defer tab.Close()
	if err := tab.Look(width, height, "light"); err != nil {
		return err
	}
	if err := tab.Visit(enter[0]); err != nil {
		return err
	}
	if err := history(tab, enter[1]); err != nil {
		return err
	}
	for _, scheme := range []string{"light", "dark"} {
		if err := tab.Look(width, height, scheme); err != nil {
			return err
		}
		if err := tab.Visit(enter[1] + "/scheduler"); err != nil {
			return err
		}
		text, err := tab.PNG()
		if err != nil {
			return err
		}
		if err := save(filepath.Join(folder, "scheduler-"+scheme+".png"), text); err != nil {
			return err
		}
	}
	return nil
}

// history lets something happen: a batch by hand runs to its end while people
// vote.
func history(tab *browser.Tab, url string) error {
	if err := tab.Visit(url + "/scheduler"); err != nil {
		return err
	}
	_, err := browser.Eval[int](tab, `fetch("/scheduler/run", {method: "POST", body: new URLSearchParams({size: "20"})}).then((r) => r.status)`)
	if err != nil {
		return fmt.Errorf("starting a batch: %w", err)
	}
	const ended = `(async () => (await (await fetch("/api/v1/runs?kind=manual&limit=1")).json()).items[0]?.state === "done")()`
	return tab.Wait(ended, patience)
}

// save writes a picture without what browsers put into it beside the pixels, as
// small as it gets.
func save(path string, text []byte) error {
	picture, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("reading a picture: %w", err)
	}
	opaque := image.NewRGBA(picture.Bounds())
	draw.Draw(opaque, opaque.Bounds(), picture, picture.Bounds().Min, draw.Src)
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&b, opaque); err != nil {
		return fmt.Errorf("writing a picture: %w", err)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
