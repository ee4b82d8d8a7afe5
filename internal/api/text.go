package api

import (
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"poa/internal/ledger"
)

// freeText is text that people write, or search with. What the databases cannot
// keep is refused where it stands in the request.
type freeText string

// Resolve implements huma.ResolverWithPath.
func (t freeText) Resolve(_ huma.Context, path *huma.PathBuffer) []error {
	var refusal *ledger.Error
	if errors.As(ledger.CheckText("", string(t)), &refusal) {
		return []error{&huma.ErrorDetail{Message: refusal.Message, Location: path.String()}}
	}
	return nil
}

// isNotText reports whether a refusal is that of a freeText.
func isNotText(d *huma.ErrorDetail) bool {
	var refusal *ledger.Error
	return errors.As(ledger.CheckText("", "\x00"), &refusal) && d.Message == refusal.Message
}
