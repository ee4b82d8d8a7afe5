package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
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
	f, err := os.OpenFile(path+servingSuffix, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("claiming %s: %w", s.path, err)
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
