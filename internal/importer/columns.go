package importer

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"poa/internal/ledger"
)

// Kind is what a file holds.
type Kind string

// The kinds of files.
const (
	Votes Kind = "votes"
	NFTs  Kind = "nfts"
)

// field is something a row can tell.
type field struct {
	name  string   // by which it is mapped, and named in errors
	names []string // of columns that hold it, normalised, best first
}

// Fields of votes, indexes into voteFields.
const (
	voteKey = iota
	voteID
	voteVoter
	voteA
	voteB
	voteNFT
	voteOutcome
	voteWinner
	voteLoser
	voteKind
	voteSuper
	voteValue
	voteCastAt
	voteUnused // written by exports, follows from the rest
)

// Fields of NFTs, indexes into nftFields.
const (
	nftID = iota
	nftName
	nftCollection
	nftImage
	nftActive
	nftUnused
)

var voteFields = []field{
	voteKey:     {"key", words("key vote_key idempotency_key")},
	voteID:      {"id", words("vote_id id uuid vote_uuid comparison_id rating_id")},
	voteVoter:   {"voter", words("voter voter_id user user_id wallet wallet_address voter_wallet address rater rater_id participant participant_id judge judge_id annotator annotator_id worker_id account")},
	voteA:       {"a", words("a a_id id_a nft_a nft_a_id nft_1 nft_1_id nft_id_1 left left_id item_a item_1 image_a image_1 image_left left_image token_a first first_id option_a player_a")},
	voteB:       {"b", words("b b_id id_b nft_b nft_b_id nft_2 nft_2_id nft_id_2 right right_id item_b item_2 image_b image_2 image_right right_image token_b second second_id option_b player_b")},
	voteNFT:     {"nft", words("nft nft_id item item_id image image_id token token_id")},
	voteOutcome: {"outcome", words("outcome result choice answer response preference decision vote")},
	voteWinner:  {"winner", words("winner winner_id winner_nft winner_nft_id winning_id chosen chosen_id selected selected_id preferred preferred_id")},
	voteLoser:   {"loser", words("loser loser_id loser_nft loser_nft_id losing_id rejected rejected_id")},
	voteKind:    {"kind", words("kind vote_kind vote_type_v2 vote_type type")},
	voteSuper:   {"super", words("super is_super super_vote")},
	voteValue:   {"value", words("value slider_value slider rating score stars")},
	voteCastAt:  {"cast_at", words("cast_at created_at voted_at timestamp time datetime date created submitted_at ts")},
	voteUnused:  {"", words("number received_at weight")},
}

var nftFields = []field{
	nftID:         {"id", words("id nft_id nft uuid item_id token_id image_id")},
	nftName:       {"name", words("name nft_name title token_name")},
	nftCollection: {"collection", words("collection collection_name project collection_slug")},
	nftImage:      {"image", words("image image_url image_uri img picture thumbnail url uri")},
	nftActive:     {"active", words("collection_active active")},
	nftUnused:     {"", words("number")},
}

// words splits a list of column names and normalises each.
func words(list string) []string {
	names := strings.Fields(list)
	for i, n := range names {
		names[i] = normalise(n)
	}
	return names
}

// normalise makes column names comparable: case, spaces, _ and - do not count.
func normalise(column string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '_', '-':
			return -1
		}
		return r
	}, strings.ToLower(column))
}

// target is where a column's content goes: a field, and how good the column's
// name is for it. Of several columns with content the lowest rank counts.
type target struct {
	field int // noField for an unknown column
	rank  int
}

const noField = -1

// columns knows which field a column holds.
type columns struct {
	kind    Kind
	fields  []field
	targets map[string]target // by normalised name
	mapped  map[string]target // by exact name, for fields that were mapped
	present []string          // in the file
}

// Misfit is the error of a file none of whose rows can be imported.
type Misfit struct {
	error
	Columns bool // it has columns, but not those that are needed or mapped
}

func (m *Misfit) Unwrap() error { return m.error }

func misfit(format string, args ...any) error { return &Misfit{fmt.Errorf(format, args...), false} }

// asWritten returns a refusal that names the file's own column beside the field,
// where the two have different names.
func (c *columns) asWritten(err *ledger.Error) *ledger.Error {
	column := c.holder(err.Field)
	if column == "" || normalise(column) == normalise(err.Field) {
		return err
	}
	named := *err
	named.Field = fmt.Sprintf("%s (%s)", column, err.Field)
	return &named
}

// holder returns the column that is read for a field first, "" where there is
// none.
func (c *columns) holder(field string) (column string) {
	if field == "" {
		return ""
	}
	best := -1
	for _, p := range c.present {
		t := c.target(p)
		if t.field != noField && c.fields[t.field].name == field && (best < 0 || t.rank < best) {
			column, best = p, t.rank
		}
	}
	if column == "" && c.kind == Votes && field == voteFields[voteA].name {
		return c.holder(voteFields[voteNFT].name)
	}
	return column
}

// newColumns checks a mapping of fields to columns, some of those given.
func newColumns(kind Kind, mapping map[string]string, present []string) (*columns, error) {
	c := &columns{kind: kind, fields: voteFields, targets: make(map[string]target), mapped: make(map[string]target), present: present}
	if kind == NFTs {
		c.fields = nftFields
	}
	for _, name := range slices.Sorted(maps.Keys(mapping)) {
		column := mapping[name]
		f := slices.IndexFunc(c.fields, func(f field) bool { return f.name != "" && f.name == normalise(name) || f.name == name && name != "" })
		if f < 0 {
			return nil, fmt.Errorf("mapping %s=%s: %s have no field %s; there are %s", name, column, kind, name, strings.Join(c.fieldNames(), ", "))
		}
		exact := slices.Index(present, column)
		if exact < 0 {
			exact = slices.IndexFunc(present, func(p string) bool { return normalise(p) == normalise(column) })
		}
		if exact < 0 {
			return nil, fmt.Errorf("mapping %s=%s: there is no column %s; there are %s", name, column, column, strings.Join(present, ", "))
		}
		if _, twice := c.mapped[present[exact]]; twice {
			return nil, fmt.Errorf("mapping %s=%s: column %s is mapped twice", name, column, column)
		}
		c.mapped[present[exact]] = target{field: f}
	}
	for i, f := range c.fields {
		if c.isMapped(i) {
			continue
		}
		for rank, name := range f.names {
			c.targets[name] = target{i, rank}
		}
	}
	return c, nil
}

func (c *columns) isMapped(field int) bool {
	for _, t := range c.mapped {
		if t.field == field {
			return true
		}
	}
	return false
}

func (c *columns) fieldNames() []string {
	var names []string
	for _, f := range c.fields {
		if f.name != "" {
			names = append(names, f.name)
		}
	}
	return names
}

func (c *columns) target(column string) target {
	if t, ok := c.mapped[column]; ok {
		return t
	}
	if t, ok := c.targets[normalise(column)]; ok {
		return t
	}
	return target{field: noField}
}

// found tells which fields the columns hold.
func (c *columns) found(present []string) map[int]bool {
	found := make(map[int]bool)
	for _, p := range present {
		if t := c.target(p); t.field != noField {
			found[t.field] = true
		}
	}
	return found
}

// unique returns an error where two columns of a table have the same name.
func (c *columns) unique(present []string) error {
	seen := make(map[target]string)
	for _, p := range present {
		t := c.target(p)
		if t.field == noField || c.fields[t.field].name == "" {
			continue
		}
		if first, twice := seen[t]; twice {
			return fmt.Errorf("columns %q and %q are the same: rename one, or map %s to one of them", first, p, c.fields[t.field].name)
		}
		seen[t] = p
	}
	return nil
}

// check returns an error for a file whose rows could all not be read.
func (c *columns) check(present []string) error {
	found := c.found(present)
	missing := func(f int) error {
		return fmt.Errorf("no column for %s: there are %s; rename one (to %s, for example), or map %s to one of them",
			c.fields[f].name, list(present), c.fields[f].names[0], c.fields[f].name)
	}
	if c.kind == NFTs {
		if !found[nftID] {
			return missing(nftID)
		}
		return nil
	}
	pair := found[voteA] && found[voteB]
	ordered := found[voteWinner] && found[voteLoser]
	single := (found[voteNFT] || found[voteA]) && (found[voteValue] || found[voteKind])
	switch {
	case !found[voteVoter]:
		return missing(voteVoter)
	case ordered || single:
		return nil
	case pair && (found[voteOutcome] || found[voteWinner] || found[voteLoser]):
		return nil
	case pair:
		return missing(voteWinner)
	case found[voteA]:
		return missing(voteB)
	case found[voteNFT]:
		return missing(voteValue)
	}
	return missing(voteA)
}

// list names columns, not too many of them.
func list(present []string) string {
	const most = 40
	if len(present) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(present[:most], ", "), len(present)-most)
	}
	return strings.Join(present, ", ")
}

// resolve finds out what a file with those columns holds, unless kind says so,
// and which column holds what.
func resolve(kind Kind, mapping map[string]string, present []string) (*columns, error) {
	switch kind {
	case Votes, NFTs:
		c, err := newColumns(kind, mapping, present)
		if err != nil {
			return nil, err
		}
		return c, c.check(present)
	case "":
	default:
		return nil, fmt.Errorf("no such kind of file: %s; there are votes and nfts", kind)
	}
	votes, voteErr := resolve(Votes, mapping, present)
	if voteErr == nil {
		return votes, nil
	}
	nfts, nftErr := resolve(NFTs, mapping, present)
	if nftErr == nil {
		found := nfts.found(present)
		if (found[nftName] || found[nftCollection] || found[nftImage]) && !looksLikeVotes(present) {
			return nfts, nil
		}
	}
	if looksLikeVotes(present) {
		return nil, voteErr
	}
	return nil, fmt.Errorf("cannot tell whether this file holds votes or NFTs from its columns %s; as votes: %w", list(present), voteErr)
}

// looksLikeVotes reports whether there are columns that only votes have.
func looksLikeVotes(present []string) bool {
	c, err := newColumns(Votes, nil, nil)
	if err != nil {
		return false
	}
	found := c.found(present)
	return found[voteVoter] || found[voteA] && found[voteB] || found[voteWinner] || found[voteOutcome]
}
