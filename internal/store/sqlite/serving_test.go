package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"poa/internal/store"
)

// TestServe sees that a file has one service at a time, whatever the file is
// called, and that others may write to it.
func TestServe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "poa.db")
	first, err := Open(t.Context(), path)
	must(t, err)
	must(t, first.Migrate(t.Context()))
	must(t, first.Serve())
	link := filepath.Join(t.TempDir(), "other.db")
	must(t, os.Symlink(path, link))
	second, err := Open(t.Context(), link)
	must(t, err)
	if err := second.Serve(); !errors.Is(err, ErrServed) {
		t.Fatalf("a second service: %v", err)
	}
	_, err = second.PutNFTs(t.Context(), []store.NFT{{ID: "n"}}, true, base)
	must(t, err)
	must(t, first.Close())
	must(t, second.Serve())
	must(t, second.Close())
}
