// Package artwork draws the pictures of a generated game's NFTs: the same id gives
// the same picture. What a collection draws, and in which colours, follows from
// its name; what differs within it are traits: palette, light, backdrop, face,
// pattern, headgear.
package artwork

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Folder is where pictures are served, and Path the path of an NFT's there.
const Folder = "/art/"

// Path returns the path of the picture of an NFT of a generated game, whose id
// ends with its number within the collection: "kabu-12".
func Path(id string) string { return Folder + id + ".svg" }

// side is the width and height of a picture in its own units.
const side = 400

// SVG draws the picture of an NFT.
func SVG(id string) []byte {
	name := id
	if i := strings.LastIndexByte(id, '-'); i > 0 {
		name = id[:i]
	}
	p := &pen{Rand: seeded(id)}
	k := kindOf(name)
	p.palette = p.mix(k)
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400">`)
	p.rect(0, 0, side, side, p.bg)
	k.backdrops[p.IntN(len(k.backdrops))](p)
	k.draw(p)
	p.add(`</svg>`)
	return []byte(p.String())
}

func seeded(text string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails
	return rand.New(rand.NewPCG(h.Sum64(), 0x706f61))
}

// kind is what the pictures of a collection have in common.
type kind struct {
	hue       float64 // degrees, of the subject; the others follow from it
	spread    float64 // of hues within the collection, degrees either way
	lift      float64 // of the subject's lightness
	lights    []light
	backdrops []func(*pen)
	draw      func(*pen)
}

// light is the light of a picture.
type light uint8

const (
	day light = iota
	dusk
	night
)

// kindOf returns the kind of a collection. Those that have no subject of their
// own get one of three abstract ones.
func kindOf(name string) kind {
	if k, ok := kinds()[name]; ok {
		return k
	}
	rng := seeded("collection " + name)
	return kind{
		hue: 360 * rng.Float64(), spread: 40, lights: []light{day, dusk, night}, backdrops: []func(*pen){plain, sweep},
		draw: [...]func(*pen){tiles, arcs, hills}[rng.IntN(3)],
	}
}

func kinds() map[string]kind {
	return map[string]kind{
		"bearish":       {45, 30, 0, []light{day, dusk, night}, []func(*pen){plain, falling, disc, dots}, bear},
		"pengztracted":  {255, 40, 0, []light{day, day, dusk}, []func(*pen){shapes, shapes, sweep}, penguin},
		"fugz":          {150, 180, 0, []light{day, dusk, night}, []func(*pen){plain, dots, rays, stripes}, fug},
		"final-bosu":    {25, 50, 0, []light{dusk, night, night}, []func(*pen){rays, disc, rays, stripes}, mask},
		"kabu":          {335, 35, 0, []light{day, day, dusk}, []func(*pen){waves, disc, plain}, turnip},
		"beeish":        {88, 14, 0.15, []light{day, dusk, day}, []func(*pen){comb, comb, disc}, bee},
		"canna-sapiens": {140, 28, 0, []light{day, dusk, night}, []func(*pen){sweep, disc, stripes}, leafling},
		"lantern-moths": {60, 150, 0, []light{night}, []func(*pen){stars, glow, stars}, moth},
		"tin-gardens":   {195, 60, 0, []light{day, day, dusk}, []func(*pen){sweep, disc, window}, garden},
		"paper-foxes":   {50, 28, 0.04, []light{day, dusk, night}, []func(*pen){disc, peaks, plain}, fox},
		"slow-comets":   {280, 120, 0, []light{night, dusk, night}, []func(*pen){stars}, comet},
	}
}

// palette are the colours of a picture, as hexadecimal text.
type palette struct {
	bg, far, farther    string // the backdrop and what is in it
	body, shade, bright string // the subject
	accent, second      string
	ink, pale           string // darkest and lightest
	light               light
}

// mix makes a palette: subject and backdrop of hues apart, lightness fixed by
// the light, so that whatever the hues the picture holds together.
func (p *pen) mix(k kind) palette {
	l := k.lights[p.IntN(len(k.lights))]
	hue := k.hue + k.spread*(2*p.Float64()-1)
	away := hue + [...]float64{150, 180, 210, 120, -60}[p.IntN(5)]
	if l == night {
		away = 250 + 70*(2*p.Float64()-1) // nights are blue, whatever stands in them
	}
	third := hue + [...]float64{-70, 60, 180, 100}[p.IntN(4)]
	chroma := 0.10 + 0.05*p.Float64()
	back := [...]float64{0.90, 0.72, 0.27}[l]
	step := [...]float64{-0.07, -0.08, 0.07}[l]
	subject := [...]float64{0.66, 0.60, 0.74}[l] + 0.06*(2*p.Float64()-1) + k.lift
	backChroma := [...]float64{0.05, 0.09, 0.06}[l]
	return palette{
		bg: oklch(back, backChroma, away), far: oklch(back+step, backChroma+0.02, away+14), farther: oklch(back+step/2, backChroma+0.01, away-10),
		body: oklch(subject, chroma, hue), shade: oklch(subject-0.13, chroma, hue-14), bright: oklch(min(0.95, subject+0.19), chroma*0.55, hue+12),
		accent: oklch(0.70, 0.15, third), second: oklch(0.82, 0.11, third+45),
		ink: oklch(0.23, 0.04, hue), pale: oklch(0.965, 0.018, away), light: l,
	}
}

// oklch returns a colour given by lightness (0 to 1), chroma and hue (degrees)
// in Björn Ottosson's OKLCH, with less chroma where screens cannot show it.
func oklch(l, c, h float64) string {
	h *= math.Pi / 180
	for ; c > 0; c -= 0.01 {
		if text, ok := srgb(l, c*math.Cos(h), c*math.Sin(h)); ok {
			return text
		}
	}
	text, _ := srgb(l, 0, 0)
	return text
}

// srgb converts from OKLab; false where a channel had to be cut.
func srgb(l, a, b float64) (string, bool) {
	cube := func(x float64) float64 { return x * x * x }
	x, y, z := cube(l+0.3963377774*a+0.2158037573*b), cube(l-0.1055613458*a-0.0638541728*b), cube(l-0.0894841775*a-1.2914855480*b)
	text, ok := "#", true
	for _, v := range [...]float64{
		4.0767416621*x - 3.3077115913*y + 0.2309699292*z,
		-1.2684380046*x + 2.6097574011*y - 0.3413193965*z,
		-0.0041960863*x - 0.7034186147*y + 1.7076147010*z,
	} {
		if v < -0.0005 || v > 1.0005 {
			ok = false
		}
		v = math.Min(1, math.Max(0, v))
		if v <= 0.0031308 {
			v *= 12.92
		} else {
			v = 1.055*math.Pow(v, 1/2.4) - 0.055
		}
		n := int(v*255 + 0.5)
		text += string("0123456789abcdef"[n>>4]) + string("0123456789abcdef"[n&15])
	}
	return text, ok
}

// pen draws.
type pen struct {
	strings.Builder
	*rand.Rand
	palette
}

// num writes a coordinate, to a tenth.
func num(x float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(x, 'f', 1, 64), ".0")
}

func (p *pen) add(parts ...string) {
	for _, s := range parts {
		p.WriteString(s)
	}
}

// chance is true so often, of 1.
func (p *pen) chance(x float64) bool { return p.Float64() < x }

// between is a number in a range.
func (p *pen) between(low, high float64) float64 { return low + (high-low)*p.Float64() }

// one is one of several colours.
func (p *pen) one(colors ...string) string { return colors[p.IntN(len(colors))] }

func (p *pen) rect(x, y, w, h float64, fill string) {
	p.add(`<rect x="`, num(x), `" y="`, num(y), `" width="`, num(w), `" height="`, num(h), `" fill="`, fill, `"/>`)
}

func (p *pen) round(x, y, w, h, r float64, fill string) {
	p.add(`<rect x="`, num(x), `" y="`, num(y), `" width="`, num(w), `" height="`, num(h), `" rx="`, num(r), `" fill="`, fill, `"/>`)
}

func (p *pen) circle(x, y, r float64, fill string) {
	p.add(`<circle cx="`, num(x), `" cy="`, num(y), `" r="`, num(r), `" fill="`, fill, `"/>`)
}

func (p *pen) ring(x, y, r, width float64, stroke string) {
	p.add(`<circle cx="`, num(x), `" cy="`, num(y), `" r="`, num(r), `" fill="none" stroke="`, stroke, `" stroke-width="`, num(width), `"/>`)
}

func (p *pen) oval(x, y, rx, ry float64, fill string) {
	p.add(`<ellipse cx="`, num(x), `" cy="`, num(y), `" rx="`, num(rx), `" ry="`, num(ry), `" fill="`, fill, `"/>`)
}

// path fills a path; numbers in d are as they are.
func (p *pen) path(d, fill string) { p.add(`<path d="`, d, `" fill="`, fill, `"/>`) }

// line strokes a path with round ends.
func (p *pen) line(d, stroke string, width float64) {
	p.add(`<path d="`, d, `" fill="none" stroke="`, stroke, `" stroke-width="`, num(width), `" stroke-linecap="round" stroke-linejoin="round"/>`)
}

// poly fills a polygon given by x, y, x, y, …
func (p *pen) poly(fill string, xy ...float64) {
	p.add(`<path d="M`)
	for i, v := range xy {
		if i > 0 {
			p.add(" ")
		}
		p.add(num(v))
	}
	p.add(`Z" fill="`, fill, `"/>`)
}

// group draws what f draws under an attribute, such as transform="…".
func (p *pen) group(attribute string, f func()) {
	p.add(`<g `, attribute, `>`)
	f()
	p.add(`</g>`)
}

// both draws what f draws on the left, and mirrored on the right.
func (p *pen) both(f func()) {
	before := p.Len()
	f()
	left := p.String()[before:]
	p.add(`<g transform="translate(400) scale(-1 1)">`, left, `</g>`)
}

// turned draws what f draws turned about a point, in degrees.
func (p *pen) turned(degrees, x, y float64, f func()) {
	p.group(`transform="rotate(`+num(degrees)+` `+num(x)+` `+num(y)+`)"`, f)
}

// faint draws what f draws with an opacity.
func (p *pen) faint(opacity float64, f func()) {
	p.group(`opacity="`+strconv.FormatFloat(opacity, 'f', 2, 64)+`"`, f)
}
