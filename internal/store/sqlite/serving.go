package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"poa/internal/store"
)

// servingSuffix ends the name of the empty file beside a database that the
// process serving it holds locked. The lock is not on the database itself:
// closing any handle of that file would drop SQLite's own locks.
const servingSuffix = "-serving"

// ErrServed is the error of Serve where another process serves the file.
var ErrServed = errors.New("another process serves it")

// Serve claims the file for a service, of which there is one at a time, until
// Close or the end of the process, however it comes. Others may open the file
// meanwhile. ErrServed.
func (s *Store) Serve() error {
	path, err := filepath.EvalSymlinks(s.path) // one file, whatever it is called
	if err != nil {
		return fmt.Errorf("claiming %s: %w", s.path, err)
	}
	// For reading, so that whoever made it keeps no other from locking it.
	f, err := os.OpenFile(path+servingSuffix, os.O_RDONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("claiming %s: %w: %w", s.path, store.ErrUnavailable, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrServed
		}
		return fmt.Errorf("claiming %s: %w", s.path, errors.Join(err, f.Close()))
	}
	s.serving = f
	return nil
}
