package gametest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

//go:embed schema.sql
var schema string

// Fill makes the game's tables in an empty database and fills them.
func (g *Game) Fill(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("filling the game's tables: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, schema); err != nil {
		return fmt.Errorf("making the game's tables: %w", err)
	}
	for _, t := range g.tables() {
		if _, err := conn.CopyFrom(ctx, t.name, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
			return fmt.Errorf("filling %v: %w", t.name, err)
		}
	}
	if _, err := conn.Exec(ctx, "ANALYZE"); err != nil {
		return fmt.Errorf("analysing the game's tables: %w", err)
	}
	return nil
}

type table struct {
	name    pgx.Identifier
	columns []string
	rows    [][]any
}

var (
	voteColumns     = []string{"id", "user_id", "vote_type_v2", "nft_a_id", "nft_b_id", "winner_id", "slider_value", "engagement_data", "created_at"}
	favoriteColumns = []string{"id", "wallet_address", "nft_id", "vote_type", "created_at"}
	brokenColumns   = []string{"source", "id", "reason"}
)

func (g *Game) tables() []table {
	users := table{name: pgx.Identifier{"users"}, columns: []string{"id", "wallet_address", "created_at", "reliability_score"}}
	for _, u := range g.Users {
		users.rows = append(users.rows, []any{u.ID, u.Wallet, u.CreatedAt, u.Reliability})
	}
	nfts := table{name: pgx.Identifier{"nfts"}, columns: []string{
		"id", "token_id", "name", "collection_name", "contract_address", "image", "traits", "total_votes", "wins", "losses", "current_elo",
		"slider_average", "slider_count", "elo_mean", "elo_sigma",
		"poa_v2", "poa_v2_updated_at", "poa_v2_components", "poa_v2_confidence", "poa_v2_explanation",
	}}
	rng := rand.New(rand.NewPCG(g.o.Seed, 7))
	for i := range g.NFTs {
		nfts.rows = append(nfts.rows, g.NFTs[i].row(rng))
	}
	votes := table{name: pgx.Identifier{"votes"}, columns: voteColumns}
	for i := range g.Votes {
		votes.rows = append(votes.rows, g.Votes[i].row())
	}
	favorites := table{name: pgx.Identifier{"favorites"}, columns: favoriteColumns}
	for i := range g.Favorites {
		favorites.rows = append(favorites.rows, g.Favorites[i].row())
	}
	broken := table{name: pgx.Identifier{"gametest", "broken"}, columns: brokenColumns}
	for _, b := range g.Broken {
		broken.rows = append(broken.rows, []any{b.Source, b.ID, string(b.Reason)})
	}
	return []table{users, nfts, votes, favorites, broken}
}

func (n *NFT) row(rng *rand.Rand) []any {
	traits := fmt.Sprintf(`[{"trait_type": "Background", "value": "%d"}]`, rng.IntN(12))
	var average any
	if n.Sliders > 0 {
		average = n.SliderSum / float64(n.Sliders)
	}
	row := []any{n.ID, n.Token, n.Name, n.Collection, n.Contract, "https://images.example/" + n.Contract + "/" + n.Token + ".png", traits,
		n.Votes, n.Wins, n.Losses, int(math.Round(n.Mean)), average, n.Sliders, n.Mean, n.Sigma}
	s := n.Old
	if s == nil {
		return append(row, nil, nil, nil, nil, nil)
	}
	components, _ := json.Marshal(map[string]float64{
		"elo_component": s.Elo, "slider_component": s.Slider, "fire_component": s.Fire, "confidence": s.Confidence, "avg_reliability": s.Reliability,
	})
	return append(row, s.POA, s.At, string(components), s.Confidence,
		fmt.Sprintf("Elo %.1f, slider %.1f, FIRE %.1f, reliability %.2f", s.Elo, s.Slider, s.Fire, s.Reliability))
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// moment returns what COPY and parameters take for a timestamptz.
func moment(at any) any {
	if at == "infinity" {
		return pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}
	}
	return at
}

func (v *Vote) row() []any {
	engagement := map[string]any{"super_vote": v.Super}
	if v.Wallet != "" {
		engagement["wallet_address"] = v.Wallet
	}
	text, _ := json.Marshal(engagement)
	value := v.Value
	if value == "NaN" {
		value = pgtype.Numeric{NaN: true, Valid: true}
	}
	return []any{v.ID, orNull(v.User), orNull(v.Kind), orNull(v.A), orNull(v.B), orNull(v.Winner), value, string(text), moment(v.CreatedAt)}
}

func (f *Favorite) row() []any {
	return []any{f.ID, f.Wallet, f.NFT, orNull(f.Kind), moment(f.CreatedAt)}
}

// BrokenRows returns all rows that make no sense, by source and id.
func BrokenRows(ctx context.Context, conn *pgx.Conn) ([]Broken, error) {
	rows, err := conn.Query(ctx, "SELECT source, id::text, reason FROM gametest.broken ORDER BY source, id")
	if err != nil {
		return nil, fmt.Errorf("reading the broken rows: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Broken])
}

// ValidVote is a vote that makes sense, with what a reader makes of it.
type ValidVote struct {
	ID, Wallet, Kind string // Wallet as in users
	A, B, Winner     string // "" for null
	Value            *float64
	Super            bool
	CreatedAt        time.Time
}

// ValidVotes returns all votes that make sense, by id.
func ValidVotes(ctx context.Context, conn *pgx.Conn) ([]ValidVote, error) {
	rows, err := conn.Query(ctx, `SELECT v.id::text, u.wallet_address, v.vote_type_v2, v.nft_a_id::text, COALESCE(v.nft_b_id::text, ''),
			COALESCE(v.winner_id::text, ''), v.slider_value::float8, COALESCE((v.engagement_data->>'super_vote')::boolean, false), v.created_at
		FROM votes v JOIN users u ON u.id = v.user_id
		WHERE NOT EXISTS (SELECT FROM gametest.broken b WHERE b.source = 'votes' AND b.id = v.id) ORDER BY v.id`)
	if err != nil {
		return nil, fmt.Errorf("reading the valid votes: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[ValidVote])
}

// ValidFavorite is a favourite that stands and makes sense.
type ValidFavorite struct {
	ID, Wallet, NFT, Kind string
	CreatedAt             time.Time
}

// ValidFavorites returns all favourites that make sense, by id.
func ValidFavorites(ctx context.Context, conn *pgx.Conn) ([]ValidFavorite, error) {
	rows, err := conn.Query(ctx, `SELECT f.id::text, f.wallet_address, f.nft_id, f.vote_type, f.created_at FROM favorites f
		WHERE NOT EXISTS (SELECT FROM gametest.broken b WHERE b.source = 'favorites' AND b.id = f.id) ORDER BY f.id`)
	if err != nil {
		return nil, fmt.Errorf("reading the valid favourites: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[ValidFavorite])
}
