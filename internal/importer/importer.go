// Package importer reads votes and NFTs from CSV and JSONL files, gzipped or
// not, into a database.
//
// Columns are found by their names, with many synonyms, or mapped. Votes keep
// the file's order and their own times, and get keys that are the same in every
// run: importing a file twice, or again after it was interrupted, changes
// nothing. Rows that cannot be taken are written to a file of rejects with line
// and reason, and cost nothing else.
package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"poa/internal/ledger"
	"poa/internal/scoring"
	"poa/internal/store"
)

// Options of an import. Store and, for votes, Ledger are required.
type Options struct {
	Store  store.Store
	Ledger ledger.Submitter
	// Source begins the keys of votes that have none of their own: votes with
	// the same source and id are the same vote. Default: the file's name without
	// its directory and extensions.
	Source string
	// Kind is what the file holds; "" finds out from its columns.
	Kind Kind
	// Map gives the columns of fields (vote fields: key, id, voter, a, b, nft,
	// outcome, winner, loser, kind, super, value, cast_at; NFT fields: id, name,
	// collection, image, active). Fields that are not mapped are found by name.
	Map map[string]string
	// Scale of slider ratings; default 0 to 100.
	Scale Scale
	// EmptyWinner is the outcome of a matchup whose row has no winner and
	// nothing else that tells the outcome: scoring.Tie or, by default,
	// scoring.Neither, which changes no rating.
	EmptyWinner scoring.Outcome
	// Overwrite lets a file of NFTs replace what is known of NFTs. Otherwise it
	// only adds NFTs, also where votes have brought an NFT without its name.
	Overwrite bool
	// Strict rejects votes on unknown NFTs or by unknown voters. Otherwise NFTs
	// and voters come into being with their first vote.
	Strict bool
	// Rejects is the path of the rejects file, which exists after a run only if
	// there were any. Default: the file's name, like Source, with .rejects.csv,
	// in the working directory.
	Rejects string
	// Progress is called after each part of the file that is done, if set.
	Progress func(Progress)
	// Now tells the time; default time.Now.
	Now func() time.Time
}

// Progress is how far an import is.
type Progress struct {
	Rows, Rejected int64
	Bytes, Total   int64 // of the file as it is stored; Total is 0 where unknown
}

// Summary is what an import did.
type Summary struct {
	Kind       Kind             `json:"kind"`
	Source     string           `json:"source"`
	Rows       int64            `json:"rows"`       // all but blank ones
	Recorded   int64            `json:"recorded"`   // new votes, or new NFTs
	Duplicates int64            `json:"duplicates"` // known already, and left as they were
	Rejected   int64            `json:"rejected"`
	ByCode     map[string]int64 `json:"rejected_by_code"`
	Triggered  map[string]int64 `json:"triggered"` // computations that votes caused, by reason
	NewNFTs    int64            `json:"new_nfts"`
	NewVoters  int64            `json:"new_voters"`
	// NoWinner counts votes that got Options.EmptyWinner, NoTime those that had
	// no time and got that of their arrival.
	NoWinner int64         `json:"without_winner"`
	NoTime   int64         `json:"without_time"`
	Ignored  []string      `json:"ignored_columns"` // hold nothing that is imported
	Rejects  string        `json:"rejects_file"`    // "" where none was rejected
	Elapsed  time.Duration `json:"elapsed_ns"`
}

const (
	chunkRows  = 30000   // rows that are submitted together
	chunkBytes = 4 << 20 // and how much of the file they may be
)

// File imports a file; "-" is standard input. The summary tells what was done
// also where an error ended it.
func File(ctx context.Context, path string, o Options) (Summary, error) {
	if path == "-" {
		return Read(ctx, os.Stdin, "stdin", 0, o)
	}
	f, err := os.Open(path)
	if err != nil {
		return Summary{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Summary{}, err
	}
	if info.IsDir() {
		return Summary{}, &os.PathError{Op: "import", Path: path, Err: syscall.EISDIR}
	}
	size := int64(0)
	if info.Mode().IsRegular() {
		size = info.Size()
	}
	return Read(ctx, f, path, size, o)
}

// Read imports what r yields; name is used as a file's name, and size is its
// size or 0.
func Read(ctx context.Context, r io.Reader, name string, size int64, o Options) (Summary, error) {
	start := time.Now()
	imp, err := prepare(r, name, size, o)
	if err != nil {
		return Summary{}, fmt.Errorf("%s: %w", name, err)
	}
	err = imp.run(ctx)
	imp.summary.Elapsed = time.Since(start)
	if err != nil {
		return imp.summary, fmt.Errorf("%s: %w", name, err)
	}
	return imp.summary, nil
}

// importing is one import.
type importing struct {
	Options
	name    string
	bytes   *meter
	size    int64
	rows    rowReader
	columns *columns
	decoder voteDecoder
	rejects *rejectsFile
	summary Summary

	metNFTs, metVoters metIDs

	switched map[string]bool // collections that are not to be switched off, or were already
}

// meter counts what is read.
type meter struct {
	r io.Reader
	n atomic.Int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n.Add(int64(n))
	return n, err
}

// prepare checks everything that can be checked before a row is imported.
func prepare(r io.Reader, name string, size int64, o Options) (*importing, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Source == "" {
		o.Source = storable(stem(name))
	}
	if o.Rejects == "" {
		o.Rejects = stem(name) + ".rejects.csv"
	}
	if o.EmptyWinner == scoring.NoOutcome {
		o.EmptyWinner = scoring.Neither
	}
	// Room for a colon and a hash.
	const most = ledger.MaxID - 50
	if err := ledger.CheckID("source", o.Source); err != nil {
		return nil, err
	} else if len(o.Source) > most {
		return nil, fmt.Errorf("source: must be at most %d bytes, is %d", most, len(o.Source))
	}
	imp := &importing{Options: o, name: name, bytes: &meter{r: r}, size: size}
	rows, columns, err := open(imp.bytes, maxRow, o.Kind, o.Map)
	if err != nil {
		return nil, err
	}
	imp.rows, imp.columns = rows, columns
	imp.decoder = voteDecoder{source: o.Source, scale: o.Scale, emptyWinner: o.EmptyWinner, now: o.Now}
	imp.summary = Summary{Kind: columns.kind, Source: o.Source, ByCode: map[string]int64{}, Triggered: map[string]int64{}}
	imp.rejects, err = newRejects(o.Rejects)
	return imp, err
}

// stem returns a file's name without its directory and extensions.
func stem(path string) string {
	name := filepath.Base(path)
	for _, ext := range []string{".gz", ".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json"} {
		if n := len(name) - len(ext); n > 0 && strings.EqualFold(name[n:], ext) {
			name = name[:n]
		}
	}
	return name
}

// chunk is a part of the file. Votes and their rows correspond.
type chunk struct {
	rows     int64
	size     int // bytes
	votes    []ledger.Vote
	assumed  []bool // by vote: its outcome is Options.EmptyWinner
	nfts     []store.NFT
	inactive []string // collections
	of       []reject // the rows of votes, without errors yet
	rejects  []reject
	bytes    int64 // of the file, read up to the chunk's end
}

// newChunk returns a chunk with room for so many votes.
func newChunk(votes int) *chunk {
	return &chunk{votes: make([]ledger.Vote, 0, votes), assumed: make([]bool, 0, votes), of: make([]reject, 0, votes)}
}

// reject is a row with the reason why it is not taken.
type reject struct {
	line int64
	raw  string
	err  *ledger.Error
}

func (c *chunk) reject(r reject, err error) {
	if !errors.As(err, &r.err) {
		r.err = &ledger.Error{Code: ledger.CodeInternal, Message: err.Error()}
	}
	c.rejects = append(c.rejects, r)
}

// run reads one chunk while the one before is committed.
func (imp *importing) run(ctx context.Context) error {
	chunks := make(chan *chunk)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(chunks)
		return imp.read(ctx, chunks)
	})
	group.Go(func() error {
		for c := range chunks {
			if err := imp.finish(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
	err := group.Wait()
	imp.summary.Ignored = imp.rows.ignored()
	if imp.summary.Rejected > 0 {
		imp.summary.Rejects = imp.rejects.path
	}
	return errors.Join(err, imp.rejects.close())
}

// read decodes the file and makes its NFTs known.
func (imp *importing) read(ctx context.Context, chunks chan<- *chunk) error {
	size := 0 // of the chunk before
	for last := false; !last; {
		c := newChunk(size)
		var err error
		if last, err = imp.fill(c); err != nil {
			return err
		}
		size = len(c.votes)
		if err := imp.register(ctx, c); err != nil {
			return err
		}
		select {
		case chunks <- c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// fill reads rows into c. It is true after the file's last.
func (imp *importing) fill(c *chunk) (last bool, err error) {
	for c.rows < chunkRows && c.size < chunkBytes {
		r, err := imp.rows.next()
		if errors.Is(err, io.EOF) {
			last = true
			break
		} else if err != nil {
			return false, fmt.Errorf("reading: %w", err)
		}
		c.rows++
		c.size += len(r.raw)
		imp.decode(c, r)
	}
	c.bytes = imp.bytes.n.Load()
	return last, nil
}

func (imp *importing) decode(c *chunk, r row) {
	of := reject{line: r.line, raw: r.raw}
	if r.err != nil {
		c.reject(of, r.err)
		return
	}
	if imp.summary.Kind == NFTs {
		n, active, err := nft(r.values)
		if err != nil {
			c.reject(of, err)
			return
		}
		c.nfts = append(c.nfts, n)
		if !active {
			c.inactive = append(c.inactive, n.Collection)
		}
		return
	}
	v, assumed, err := imp.decoder.vote(r.values)
	if err != nil {
		c.reject(of, err)
		return
	}
	v.Trusted = true // a file is the operator's own record
	c.votes = append(c.votes, v)
	c.assumed = append(c.assumed, assumed)
	c.of = append(c.of, of)
}

// register makes the NFTs of a chunk's votes known or, if strict, rejects the
// votes on those that are not.
func (imp *importing) register(ctx context.Context, c *chunk) error {
	if len(c.votes) == 0 {
		return nil
	}
	ids := c.nftIDs()
	known, err := imp.known(ctx, ids, &imp.metNFTs, store.View.KnownNFTs)
	if err != nil {
		return fmt.Errorf("looking up NFTs: %w", err)
	}
	if imp.Strict {
		knownVoters, err := imp.known(ctx, c.voters(), &imp.metVoters, store.View.KnownVoters)
		if err != nil {
			return fmt.Errorf("looking up voters: %w", err)
		}
		c.keepKnown(known, knownVoters)
		return nil
	}
	for _, id := range ids {
		if !known[id] {
			c.nfts = append(c.nfts, store.NFT{ID: id})
			imp.metNFTs.add(id) // it is registered before any later chunk is submitted
		}
	}
	return nil
}

// nftIDs returns the NFTs of the votes, each once, in the order of the file.
func (c *chunk) nftIDs() []string {
	var ids []string
	seen := make(map[string]bool)
	for _, v := range c.votes {
		for _, id := range [2]string{v.A, v.B} {
			if id != "" && !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// voters returns who cast the votes, each once.
func (c *chunk) voters() []string {
	ids := make([]string, len(c.votes))
	for i, v := range c.votes {
		ids[i] = v.Voter
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// known returns which ids exist. It looks those up that were not met before.
func (imp *importing) known(ctx context.Context, ids []string, met *metIDs, look func(store.View, context.Context, []string) ([]string, error)) (map[string]bool, error) {
	known := make(map[string]bool, len(ids))
	var others []string
	for _, id := range ids {
		if met.has(id) {
			known[id] = true
		} else {
			others = append(others, id)
		}
	}
	if len(others) == 0 {
		return known, nil
	}
	err := imp.Store.View(ctx, func(v store.View) error {
		found, err := look(v, ctx, others)
		for _, id := range found {
			known[id] = true
			met.add(id)
		}
		return err
	})
	return known, err
}

// metIDs remembers ids that exist, up to maxMet of them, so that most need not
// be looked up again. The zero value remembers none yet. It is safe for
// concurrent use.
type metIDs struct {
	mu  sync.Mutex // guards ids
	ids map[string]struct{}
}

// maxMet bounds the memory of an import, to some ten megabytes.
const maxMet = 100_000

func (m *metIDs) has(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.ids[id]
	return ok
}

func (m *metIDs) add(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ids == nil {
		m.ids = make(map[string]struct{})
	}
	if len(m.ids) < maxMet {
		m.ids[strings.Clone(id)] = struct{}{}
	}
}

// keepKnown rejects votes on unknown NFTs or by unknown voters.
func (c *chunk) keepKnown(nfts, voters map[string]bool) {
	votes, assumed, of := c.votes[:0], c.assumed[:0], c.of[:0]
	for i, v := range c.votes {
		var err *ledger.Error
		switch {
		case !nfts[v.A]:
			err = unknownNFT("a", v.A)
		case v.B != "" && !nfts[v.B]:
			err = unknownNFT("b", v.B)
		case !voters[v.Voter]:
			err = &ledger.Error{Code: "unknown_voter", Field: "voter", Message: fmt.Sprintf("%q has not voted before", v.Voter)}
		default:
			votes, assumed, of = append(votes, v), append(assumed, c.assumed[i]), append(of, c.of[i])
			continue
		}
		c.reject(c.of[i], err)
	}
	c.votes, c.assumed, c.of = votes, assumed, of
}

func unknownNFT(field, id string) *ledger.Error {
	return &ledger.Error{Code: ledger.CodeUnknownNFT, Field: field, Message: fmt.Sprintf("%q is not registered", id)}
}
