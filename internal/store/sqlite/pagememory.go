package sqlite

import (
	"errors"
	"fmt"
	"sync/atomic"

	"modernc.org/libc" // the very version that modernc.org/sqlite requires
	"modernc.org/libc/sys/types"
	codes "modernc.org/sqlite/lib"
)

// pageSize is that of every database this package makes, in bytes.
const pageSize = 4096

// ReservePages sets memory for n cached pages aside, for all databases of this
// process together. Pages beyond are allocated one by one, and take twice the
// memory: a page with its header is a little larger than 4 KiB, and the
// allocator gives it 8. Nine in ten of them are for the writing connection of
// the database opened next, instead of its usual number, the others for views.
// What is reserved is resident at once, so this is for work that fills the
// cache, such as an import. It fails when the process has opened a database
// before.
//
// Source: https://sqlite.org/c3ref/c_config_covering_index_scan.html#sqliteconfigpagecache
func ReservePages(n int) error {
	tls := libc.NewTLS()
	defer tls.Close()
	const arguments = 3 * 8
	memory := libc.Xcalloc(tls, 1, arguments+8)
	if memory == 0 {
		return errors.New("reserving memory for pages: there is none")
	}
	defer libc.Xfree(tls, memory)
	header := memory + arguments
	if code := codes.Xsqlite3_config(tls, codes.SQLITE_CONFIG_PCACHE_HDRSZ, libc.VaList(memory, header)); code != codes.SQLITE_OK {
		return fmt.Errorf("reading the size of a page's header: SQLite says %d", code)
	}
	size := pageSize + libc.AtomicLoadNInt32(header, 0)
	pages := libc.Xmalloc(tls, types.Size_t(n)*types.Size_t(size))
	if pages == 0 {
		return fmt.Errorf("reserving memory for %d pages: there is not as much", n)
	}
	if code := codes.Xsqlite3_config(tls, codes.SQLITE_CONFIG_PAGECACHE, libc.VaList(memory, pages, size, int32(n))); code != codes.SQLITE_OK {
		libc.Xfree(tls, pages)
		return fmt.Errorf("reserving memory for %d pages: SQLite says %d; has a database been opened before?", n, code)
	}
	reserved.Store(int64(n))
	return nil
}

// reserved is how many pages ReservePages set aside.
var reserved atomic.Int64

// writerCache is the cache_size of a writing connection: 28 MB, or nine in ten
// of the pages that were reserved.
func writerCache() string {
	if n := reserved.Load(); n > 0 {
		return fmt.Sprintf("cache_size(%d)", n*9/10) // pages
	}
	return "cache_size(-28672)" // KiB
}
