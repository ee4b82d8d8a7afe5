package ledger_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"poa/internal/exact"
	"poa/internal/ledger"
	"poa/internal/publish"
	"poa/internal/scoring"
	"poa/internal/store"
	"poa/internal/store/postgres"
	"poa/internal/store/postgres/pgtest"
	"poa/internal/store/sqlite"
	"poa/internal/trigger"
	"poa/internal/verify"
)

// The crash tests run ledgers in processes of their own: this test binary,
// started again with workerEnv set to the database. A worker reads votes as
// JSON lines, submits each in a goroutine of its own and writes the answers.
const workerEnv = "POA_LEDGER_WORKER"

// longEnv set, as `make long` does, makes the crash tests as long as a release
// wants them.
const longEnv = "POA_LONG"

type workerVote struct {
	ID   int64
	Vote ledger.Vote
}

type workerAnswer struct {
	ID        int64
	Number    int64
	Duplicate bool
	Code      ledger.Code
}

func TestMain(m *testing.M) {
	if database := os.Getenv(workerEnv); database != "" {
		if err := work(database, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	pgtest.Main(m)
}

func openStore(ctx context.Context, database string) (store.Store, error) {
	if strings.HasPrefix(database, "postgres") {
		return postgres.Open(ctx, database)
	}
	return sqlite.Open(ctx, database)
}

// work is the life of a worker.
func work(database string, in io.Reader, out io.Writer) error {
	ctx := context.Background()
	st, err := openStore(ctx, database)
	if err != nil {
		return err
	}
	defer st.Close()
	version, err := st.Prepare(ctx, scoring.Defaults(), "test", time.Now())
	if err != nil {
		return err
	}
	l := ledger.New(st, ledger.Options{Policy: publish.Default(version)})
	var mu sync.Mutex // guards encoder
	encoder := json.NewEncoder(out)
	var wg sync.WaitGroup
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var v workerVote
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return err
		}
		wg.Go(func() {
			a := workerAnswer{ID: v.ID}
			answers, err := l.Submit(ctx, []ledger.Vote{v.Vote})
			if err != nil {
				a.Code = ledger.CodeTryAgain
			} else {
				a.Number, a.Duplicate, a.Code = answers[0].Number, answers[0].Duplicate, code(answers[0].Err)
			}
			mu.Lock()
			defer mu.Unlock()
			encoder.Encode(a)
		})
	}
	wg.Wait()
	return l.Close(ctx)
}

// worker is a running worker process.
type worker struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	gone chan struct{} // closed when the process has ended

	mu      sync.Mutex // guards what follows, and writing to in
	nextID  int64
	waiting map[int64]chan workerAnswer
}

func startWorker(t *testing.T, database string) *worker {
	t.Helper()
	w := &worker{cmd: exec.Command(os.Args[0]), gone: make(chan struct{}), waiting: map[int64]chan workerAnswer{}}
	w.cmd.Env = append(os.Environ(), workerEnv+"="+database)
	w.cmd.Stderr = os.Stderr
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.gone)
		defer w.cmd.Wait()
		for d := json.NewDecoder(out); ; {
			var a workerAnswer
			if d.Decode(&a) != nil { // killed, perhaps in the middle of a line
				return
			}
			w.mu.Lock()
			c := w.waiting[a.ID]
			delete(w.waiting, a.ID)
			w.mu.Unlock()
			c <- a
		}
	}()
	return w
}

// submit is false when the worker died before it answered.
func (w *worker) submit(v ledger.Vote) (workerAnswer, bool) {
	c := make(chan workerAnswer, 1)
	w.mu.Lock()
	w.nextID++
	w.waiting[w.nextID] = c
	line, err := json.Marshal(workerVote{w.nextID, v})
	if err == nil {
		_, err = w.in.Write(append(line, '\n'))
	}
	w.mu.Unlock()
	if err != nil {
		<-w.gone
	}
	select {
	case a := <-c:
		return a, true
	case <-w.gone:
		select {
		case a := <-c: // answered just before
			return a, true
		default:
			return workerAnswer{}, false
		}
	}
}

func (w *worker) kill() {
	w.cmd.Process.Kill()
	<-w.gone
}

// stop lets the worker answer everything and end.
func (w *worker) stop() {
	w.mu.Lock()
	w.in.Close()
	w.mu.Unlock()
	<-w.gone
}

// crowd are clients that keep voting through whatever worker runs, and repeat
// each vote by its key until it is acknowledged.
type crowd struct {
	t     *testing.T
	nfts  int
	stop  chan struct{}
	wg    sync.WaitGroup
	mu    sync.Mutex // guards what follows
	alive []*worker
	acked map[string]int64 // vote number by key
}

func newCrowd(t *testing.T, clients, nfts int, workers ...*worker) *crowd {
	c := &crowd{t: t, nfts: nfts, stop: make(chan struct{}), alive: workers, acked: map[string]int64{}}
	for i := range clients {
		c.wg.Go(func() { c.client(i) })
	}
	return c
}

func (c *crowd) client(id int) {
	random := rand.New(rand.NewPCG(uint64(id), 7))
	for n := 0; ; n++ {
		select {
		case <-c.stop:
			return
		default:
		}
		v := c.vote(random, fmt.Sprintf("c%d-%d", id, n))
		for {
			w := c.worker(random)
			a, ok := w.submit(v)
			if !ok || a.Code == ledger.CodeTryAgain || a.Code == ledger.CodeUnknown {
				time.Sleep(time.Duration(1+random.IntN(10)) * time.Millisecond)
				continue
			}
			c.mu.Lock()
			if a.Code != "" {
				c.t.Errorf("vote %s: %s", v.Key, a.Code)
			}
			if _, twice := c.acked[v.Key]; twice {
				c.t.Errorf("vote %s was acknowledged before", v.Key)
			}
			c.acked[v.Key] = a.Number
			c.mu.Unlock()
			break
		}
	}
}

func (c *crowd) worker(random *rand.Rand) *worker {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alive[random.IntN(len(c.alive))]
}

// replace puts a new worker in the place of a dead one.
func (c *crowd) replace(i int, w *worker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alive[i] = w
}

func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acked)
}

// vote makes a vote of any kind.
func (c *crowd) vote(random *rand.Rand, key string) ledger.Vote {
	a := random.IntN(c.nfts)
	nft, voter := fmt.Sprintf("n%d", a), fmt.Sprintf("v%d", random.IntN(40))
	switch n := random.IntN(100); {
	case n < 60:
		v := matchup(key, voter, nft, fmt.Sprintf("n%d", (a+1+random.IntN(c.nfts-1))%c.nfts), scoring.Outcome(1+random.IntN(4)))
		v.Super = n < 10
		return v
	case n < 80:
		return opinion(key, voter, nft, scoring.Slider, float64(random.IntN(101)))
	case n < 90:
		return opinion(key, voter, nft, scoring.Fire, 0)
	default:
		return opinion(key, voter, nft, scoring.Unfire, 0)
	}
}

// finish ends the clients once each has its last vote acknowledged.
func (c *crowd) finish() {
	close(c.stop)
	c.wg.Wait()
}

// check compares the log with what was acknowledged, and verifies the state.
func (c *crowd) check(st store.Store) {
	c.t.Helper()
	ctx := context.Background()
	err := st.View(ctx, func(v store.View) error {
		inLog := 0
		for vote, err := range v.Log(ctx, 0) {
			if err != nil {
				return err
			}
			inLog++
			if number, ok := c.acked[vote.Key]; !ok || number != vote.Number {
				c.t.Errorf("vote %s is in the log as number %d, acknowledged as %d (%v)", vote.Key, vote.Number, number, ok)
			}
		}
		if inLog != len(c.acked) {
			c.t.Errorf("%d votes in the log, %d acknowledged", inLog, len(c.acked))
		}
		if err := c.checkAllowances(ctx, v); err != nil {
			return err
		}
		_, err := verify.Run(ctx, v, publish.Default(1), func(d verify.Difference) {
			c.t.Errorf("%s: %s is %s, want %s", d.Subject, d.Field, d.Stored, d.Want)
		})
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// checkAllowances compares what each voter has used of the cap with the log,
// which is less than an hour long.
func (c *crowd) checkAllowances(ctx context.Context, v store.View) error {
	rules, urgent := trigger.Defaults(), map[int64]int64{}
	fires := map[[2]int64]*scoring.Opinion{}
	constants := scoring.Defaults()
	for vote, err := range v.Log(ctx, 0) {
		if err != nil {
			return err
		}
		changed := false
		if vote.Kind == scoring.Fire || vote.Kind == scoring.Unfire {
			ref := [2]int64{vote.Voter, vote.A}
			if fires[ref] == nil {
				fires[ref] = &scoring.Opinion{}
			}
			voter, rating := constants.NewVoter(), constants.NewRating()
			_, changed = constants.FoldOpinion(vote.Vote, &voter, &rating, fires[ref])
		}
		if _, ok := rules.Urgent(vote.Vote, changed); ok {
			urgent[vote.Voter]++
		}
	}
	for row, err := range v.AllVoters(ctx) {
		if err != nil {
			return err
		}
		if want := min(urgent[row.Number], rules.VoterCapPerHour); row.Allowance.Used != want {
			c.t.Errorf("voter %s used %d of the cap, want %d", row.ID, row.Allowance.Used, want)
		}
	}
	return nil
}

// setUp migrates a database and registers n NFTs.
func setUp(t *testing.T, database string, n int) store.Store {
	t.Helper()
	ctx := context.Background()
	st, err := openStore(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	nfts := make([]store.NFT, n)
	for i := range nfts {
		nfts[i] = store.NFT{ID: fmt.Sprintf("n%d", i), Collection: fmt.Sprintf("c%d", i%3)}
	}
	if err := st.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Prepare(ctx, scoring.Defaults(), "test", time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := st.PutNFTs(ctx, nfts, false, time.Now()); err != nil {
		t.Fatal(err)
	}
	durability, err := st.Durability(ctx)
	if err != nil || len(durability) == 0 {
		t.Fatalf("durability: %v, %v", durability, err)
	}
	for _, d := range durability {
		if !d.OK {
			t.Fatalf("an acknowledged vote may be lost: %s is %s, want %s", d.Name, d.Value, d.Want)
		}
	}
	return st
}

func kills() int {
	if os.Getenv(longEnv) != "" {
		return 60
	}
	return 5
}

func TestKilledSQLiteProcessLosesNothing(t *testing.T) {
	database := filepath.Join(t.TempDir(), "poa.db")
	crashes(t, database, nil)
}

func TestKilledPostgreSQLLosesNothing(t *testing.T) {
	cluster, err := pgtest.Start(pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	database := cluster.URL("postgres")
	crashes(t, database, cluster)
}

// crashes kills the worker again and again under load, and with a cluster
// every other time the database server as well.
func crashes(t *testing.T, database string, cluster *pgtest.Cluster) {
	setUp(t, database, 12).Close()
	c := newCrowd(t, 24, 12, startWorker(t, database))
	for i := range kills() {
		before := c.count()
		waitFor(t, func() bool { return c.count() > before+20 })
		time.Sleep(rand.N(100 * time.Millisecond)) // any moment will do
		if cluster != nil && i%2 == 1 {
			if err := cluster.Stop(pgtest.Immediate); err != nil {
				t.Fatal(err)
			}
			if i%4 == 1 { // this time the worker lives on
				if err := cluster.Start(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			c.alive[0].kill()
			if err := cluster.Start(); err != nil {
				t.Fatal(err)
			}
		} else {
			c.alive[0].kill()
		}
		c.replace(0, startWorker(t, database))
	}
	c.finish()
	c.alive[0].stop()
	st, err := openStore(context.Background(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	c.check(st)
	t.Logf("%d votes acknowledged over %d kills", len(c.acked), kills())
}

// TestTwoProcessesOnFewNFTs has two processes with many clients vote on few
// NFTs, while exact recomputes run on all of them.
func TestTwoProcessesOnFewNFTs(t *testing.T) {
	cluster, err := pgtest.Start(pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	database := cluster.URL("postgres")
	st := setUp(t, database, 6)
	c := newCrowd(t, 48, 6, startWorker(t, database), startWorker(t, database))
	ctx := context.Background()
	votes := 3000
	if os.Getenv(longEnv) != "" {
		votes = 100000
	}
	computed := 0
	for c.count() < votes && !t.Failed() {
		results, err := exact.Compute(ctx, st, publish.Default(1), []int64{1, 2, 3, 4, 5, 6}, publish.Cause{Reason: store.ReasonManual}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Error(r.Err)
			}
			computed++
		}
	}
	c.finish()
	for _, w := range c.alive {
		w.stop()
	}
	c.check(st)
	if n := deadlocks(t, database); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
	t.Logf("%d votes, %d exact computations", len(c.acked), computed)
}

// deadlocks returns how many deadlocks the server has counted.
func deadlocks(t *testing.T, database string) (n int64) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	// The counters of a connection are flushed when it ends, at the latest.
	if err := conn.QueryRow(ctx, "SELECT sum(deadlocks) FROM pg_stat_database").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
