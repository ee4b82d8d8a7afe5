package importer

import (
	"errors"
	"testing"
	"unicode/utf8"

	"poa/internal/ledger"
)

// FuzzNFT sees that every row is an NFT that both databases can keep, or a
// refusal that names a code and field; and that every scale maps what is on it
// to 0 to 100.
func FuzzNFT(f *testing.F) {
	f.Add("1", "One", "Berlin", "https://example.org/1.png", "true", "1-10", "7.5")
	f.Add(" ", "x\x00", "\xff", "", "maybe", "0-100", "NaN")
	f.Add("a", "", " ", "", " No ", "-5--1", "-2")
	f.Add("a", "", "", "", "1", "5e-324-1e-323", "1e-323")
	f.Fuzz(func(t *testing.T, id, name, collection, image, active, scale, value string) {
		values := make([]string, len(nftFields))
		values[nftID], values[nftName], values[nftCollection], values[nftImage], values[nftActive] = id, name, collection, image, active
		n, on, err := nft(values)
		var refusal *ledger.Error
		switch {
		case errors.As(err, &refusal):
			if refusal.Code == "" || refusal.Field == "" || !utf8.ValidString(refusal.Message) {
				t.Fatalf("%q is refused with %+v", values, refusal)
			}
		case err != nil:
			t.Fatalf("%q: %v is no refusal", values, err)
		case n.ID != id || n.Name != name || n.Collection != collection || n.ImageURL != image:
			t.Fatalf("%q is read as %+v", values, n)
		case !on && active == "":
			t.Fatal("a collection is off without a word about it")
		default:
			for _, text := range []string{n.ID, n.Name, n.Collection, n.ImageURL} {
				if ledger.CheckText("", text) != nil {
					t.Fatalf("%q is taken", text)
				}
			}
		}
		s, err := ParseScale(scale)
		if err != nil {
			return
		}
		if low, err := (s).rating(value); err == nil && !(low >= 0 && low <= 100) {
			t.Fatalf("%q on the scale %q is %v", value, scale, low)
		}
	})
}
