package api

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"poa/internal/store"
)

// Page are the parameters of a list in pages.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Entries of a page"`
	Cursor string `query:"cursor" maxLength:"200" doc:"next of the page before; without it, the first page"`
}

// list is a page of a list.
type list[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next,omitempty" doc:"Cursor of the next page; absent on the last one"`
}

// paged returns a page. last gives the cursor after an entry; a page that is
// not full is the last one.
func paged[T, U any](rows []T, limit int, show func(T) U, last func(T) string) list[U] {
	l := list[U]{Items: make([]U, len(rows))}
	for i, row := range rows {
		l.Items[i] = show(row)
	}
	if len(rows) == limit {
		next := last(rows[len(rows)-1])
		l.Next = &next
	}
	return l
}

// Cursors are opaque to clients: the kind of list, and the place in it.
func seal(kind, place string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(kind + ":" + place))
}

func unseal(kind, cursor string) (string, error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	place, ok := strings.CutPrefix(string(text), kind+":")
	if err != nil || !ok {
		return "", badCursor()
	}
	return place, nil
}

func badCursor() error {
	return &failure{codeCursor, "query.cursor", "is not the next of a page of this list"}
}

func numberCursor(kind string, n int64) string { return seal(kind, strconv.FormatInt(n, 10)) }

// number reads a cursor that is a number, 0 for none.
func (p Page) number(kind string) (int64, error) {
	if p.Cursor == "" {
		return 0, nil
	}
	place, err := unseal(kind, p.Cursor)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(place, 10, 64)
	if err != nil || n <= 0 {
		return 0, badCursor()
	}
	return n, nil
}

// rank is a place on the leaderboard, with how many came before.
type rank struct {
	key    store.RankKey
	before int64
}

func (r rank) cursor() string {
	return seal("rank", fmt.Sprintf("%s/%d/%d", strconv.FormatFloat(r.key.POA, 'g', -1, 64), r.key.NFT, r.before))
}

// rank reads a cursor on the leaderboard, nil for none.
func (p Page) rank() (*rank, error) {
	if p.Cursor == "" {
		return nil, nil
	}
	place, err := unseal("rank", p.Cursor)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(place, "/")
	if len(parts) != 3 {
		return nil, badCursor()
	}
	poa, err1 := strconv.ParseFloat(parts[0], 64)
	nft, err2 := strconv.ParseInt(parts[1], 10, 64)
	before, err3 := strconv.ParseInt(parts[2], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || poa < 0 || poa > 100 || poa != poa || nft <= 0 || before <= 0 {
		return nil, badCursor()
	}
	return &rank{store.RankKey{POA: poa, NFT: nft}, before}, nil
}
