package main

import (
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

// versionDoc is what is known of this program.
type versionDoc struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readVersion() versionDoc {
	doc := versionDoc{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			doc.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				doc.Revision = s.Value
			case "vcs.time":
				doc.Time = s.Value
			case "vcs.modified":
				doc.Modified = s.Value == "true"
			}
		}
	}
	return doc
}

func (c *versionCommand) Run(m *Main) error {
	doc := readVersion()
	if m.cli.JSON {
		return m.printJSON(doc)
	}
	m.printf("poa %s\n", doc.Version)
	if doc.Revision != "" {
		changed := ""
		if doc.Modified {
			changed = ", with changes"
		}
		m.printf("revision %s of %s%s\n", doc.Revision, doc.Time, changed)
	}
	m.printf("%s %s\n", doc.Go, doc.Platform)
	return nil
}
