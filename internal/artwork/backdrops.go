package artwork

import "math"

func plain(p *pen) {
	p.rect(0, 300, side, 100, p.far)
}

// disc is a sun or moon behind the subject.
func disc(p *pen) {
	r := p.between(120, 165)
	p.circle(200, p.between(170, 215), r, p.one(p.far, p.pale, p.second))
	if p.chance(0.5) {
		p.rect(0, 318, side, 82, p.farther)
	}
}

func sweep(p *pen) {
	p.circle(p.between(-20, 420), -40, 300, p.farther)
	p.circle(p.between(0, 400), 470, 210, p.far)
}

func dots(p *pen) {
	gap := p.between(38, 58)
	for y, odd := gap/2, false; y < side; y, odd = y+gap*0.86, !odd {
		for x := gap / 2; x < side+gap; x += gap {
			at := x
			if odd {
				at -= gap / 2
			}
			p.circle(at, y, gap*0.17, p.far)
		}
	}
}

func stripes(p *pen) {
	gap := p.between(36, 64)
	p.turned([...]float64{0, 45, -45, 90}[p.IntN(4)], 200, 200, func() {
		for y := -120.0; y < 520; y += gap {
			p.rect(-120, y, 640, gap/2, p.farther)
		}
	})
}

func rays(p *pen) {
	n := 2 * (6 + p.IntN(5))
	y := p.between(180, 240)
	turn := p.Float64()
	for i := 0; i < n; i += 2 {
		a, b := (float64(i)+turn)*2*math.Pi/float64(n), (float64(i)+1+turn)*2*math.Pi/float64(n)
		p.poly(p.far, 200, y, 200+420*math.Cos(a), y+420*math.Sin(a), 200+420*math.Cos(b), y+420*math.Sin(b))
	}
	if p.chance(0.5) {
		p.circle(200, y, p.between(125, 160), p.farther)
	}
}

// falling is a price that falls.
func falling(p *pen) {
	x, y := -10.0, p.between(50, 110)
	d := "M" + num(x) + " " + num(y)
	for x < side {
		x += p.between(28, 52)
		y += p.between(-34, 62)
		y = math.Max(30, y)
		d += "L" + num(x) + " " + num(y)
	}
	p.line(d, p.far, 16)
}

// shapes are a few large plain shapes.
func shapes(p *pen) {
	colors := [...]string{p.far, p.farther, p.accent, p.second, p.body}
	for range 4 + p.IntN(4) {
		x, y, r := p.between(0, side), p.between(0, 330), p.between(30, 95)
		fill := colors[p.IntN(len(colors))]
		switch p.IntN(4) {
		case 0:
			p.circle(x, y, r, fill)
		case 1:
			p.turned(p.between(0, 90), x, y, func() { p.rect(x-r, y-r/2, 2*r, r, fill) })
		case 2:
			p.path("M"+num(x-r)+" "+num(y)+"a"+num(r)+" "+num(r)+" 0 0 1 "+num(2*r)+" 0Z", fill)
		default:
			p.ring(x, y, r*0.8, r*0.25, fill)
		}
	}
	p.rect(0, 340, side, 60, p.far)
}

// waves are the overlapping waves of Japanese cloth.
func waves(p *pen) {
	const r = 40.0
	for row := 0; row < 7; row++ {
		y := 210 + float64(row)*32
		for x := -r + r*float64(row%2); x < side+r; x += 2 * r {
			p.circle(x, y, r, p.farther)
			p.circle(x, y, r*0.72, p.bg)
			p.circle(x, y, r*0.45, p.far)
		}
	}
}

func comb(p *pen) {
	const r = 34.0
	for row := 0; row < 9; row++ {
		for col := 0; col < 8; col++ {
			x, y := float64(col)*r*1.76, float64(row)*r*1.52
			if row%2 == 1 {
				x += r * 0.88
			}
			if p.chance(0.42) {
				continue
			}
			var xy []float64
			for i := range 6 {
				a := math.Pi/6 + float64(i)*math.Pi/3
				xy = append(xy, x+r*0.9*math.Cos(a), y+r*0.9*math.Sin(a))
			}
			p.poly(p.one(p.far, p.farther, p.far), xy...)
		}
	}
}

func stars(p *pen) {
	for range 34 + p.IntN(30) {
		p.circle(p.between(0, side), p.between(0, 330), p.between(0.8, 2.6), p.one(p.pale, p.second, p.far))
	}
	if p.chance(0.6) {
		p.circle(p.between(40, 360), p.between(40, 120), p.between(18, 40), p.pale)
	}
}

// glow is a light in the middle of the night.
func glow(p *pen) {
	for i := range 5 {
		p.faint(0.16, func() { p.circle(200, 205, 190-34*float64(i), p.second) })
	}
	for range 18 {
		p.circle(p.between(0, side), p.between(0, side), p.between(1, 3), p.second)
	}
}

func window(p *pen) {
	p.round(70, 40, 260, 270, p.between(6, 130), p.pale)
	p.rect(194, 40, 12, 270, p.bg)
	p.rect(70, p.between(140, 180), 260, 12, p.bg)
}

func peaks(p *pen) {
	p.circle(p.between(80, 320), p.between(70, 130), p.between(34, 60), p.second)
	for i, fill := range [...]string{p.farther, p.far} {
		base := 300 + 40*float64(i)
		for x := -60.0; x < side; x += p.between(110, 170) {
			w := p.between(180, 260)
			p.poly(fill, x, base+100, x+w/2, base-p.between(90, 170), x+w, base+100)
		}
	}
}
