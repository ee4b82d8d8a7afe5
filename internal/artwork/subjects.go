package artwork

import "math"

// eyes draws a pair of eyes, apart either side of the middle, in one of many
// ways.
func (p *pen) eyes(y, apart, r float64) {
	style := p.IntN(8)
	if style == 6 { // dark glasses
		p.round(200-apart-r*1.9, y-r*1.2, r*3.5, r*2.4, r*0.9, p.ink)
		p.round(200+apart-r*1.6, y-r*1.2, r*3.5, r*2.4, r*0.9, p.ink)
		p.rect(200-apart, y-r*0.7, 2*apart, r*0.5, p.ink)
		p.faint(0.5, func() { p.poly(p.pale, 200-apart-r, y-r*0.8, 200-apart-r*0.2, y-r*0.8, 200-apart-r, y+r*0.6) })
		return
	}
	if style == 7 { // one eye patch
		p.circle(200-apart, y, r, p.ink)
		p.circle(200-apart+r*0.35, y-r*0.35, r*0.3, p.pale)
		p.line("M"+num(200-apart*2.4)+" "+num(y-r*3)+"L"+num(200+apart*2.2)+" "+num(y+r*1.2), p.ink, r*0.4)
		p.oval(200+apart, y, r*1.5, r*1.3, p.ink)
		return
	}
	p.both(func() {
		x := 200 - apart
		switch style {
		case 0, 1: // dots
			p.circle(x, y, r, p.ink)
			p.circle(x+r*0.35, y-r*0.35, r*0.32, p.pale)
		case 2: // wide
			p.circle(x, y, r*1.5, p.pale)
			p.circle(x+r*0.25, y, r*0.85, p.ink)
		case 3: // asleep
			p.line("M"+num(x-r*1.2)+" "+num(y)+"q"+num(r*1.2)+" "+num(r*1.3)+" "+num(r*2.4)+" 0", p.ink, r*0.5)
		case 4: // half shut
			p.circle(x, y, r*1.4, p.pale)
			p.circle(x, y+r*0.2, r*0.8, p.ink)
			p.path("M"+num(x-r*1.5)+" "+num(y-r*0.1)+"a"+num(r*1.5)+" "+num(r*1.5)+" 0 0 1 "+num(r*3)+" 0Z", p.shade)
		default: // glad
			p.line("M"+num(x-r*1.2)+" "+num(y+r*0.5)+"q"+num(r*1.2)+" "+num(-r*1.8)+" "+num(r*2.4)+" 0", p.ink, r*0.55)
		}
	})
}

// mouth draws a mouth about (200, y).
func (p *pen) mouth(y, w float64) {
	left, at := num(200-w/2), num(y)
	switch p.IntN(5) {
	case 0:
		p.line("M"+left+" "+at+"q"+num(w/2)+" "+num(w*0.5)+" "+num(w)+" 0", p.ink, 6)
	case 1:
		p.line("M"+left+" "+at+"h"+num(w), p.ink, 6)
	case 2:
		p.path("M"+left+" "+at+"h"+num(w)+"a"+num(w/2)+" "+num(w*0.45)+" 0 0 1 "+num(-w)+" 0Z", p.ink)
		p.oval(200, y+w*0.3, w*0.26, w*0.12, p.accent)
	case 3:
		p.oval(200, y+4, w*0.18, w*0.22, p.ink)
	default:
		p.line("M"+left+" "+num(y+w*0.2)+"q"+num(w/2)+" "+num(-w*0.4)+" "+num(w)+" 0", p.ink, 6)
	}
}

// hat draws headgear whose brim is at height y and w wide, or none.
func (p *pen) hat(y, w float64) {
	x := 200 - w/2
	switch p.IntN(9) {
	case 0: // knitted
		p.path("M"+num(x)+" "+num(y)+"a"+num(w/2)+" "+num(w*0.48)+" 0 0 1 "+num(w)+" 0Z", p.accent)
		p.round(x-6, y-12, w+12, 26, 13, p.second)
		p.circle(200, y-w*0.5, 17, p.second)
	case 1: // crown
		p.poly(p.second, x+w*0.12, y, x+w*0.08, y-w*0.42, x+w*0.3, y-w*0.2, 200, y-w*0.5, x+w*0.7, y-w*0.2, x+w*0.92, y-w*0.42, x+w*0.88, y)
		p.circle(200, y-w*0.14, 8, p.accent)
	case 2: // wide brim
		p.oval(200, y, w*0.72, 16, p.accent)
		p.path("M"+num(x+w*0.12)+" "+num(y)+"v"+num(-w*0.26)+"q"+num(w*0.38)+" "+num(-w*0.2)+" "+num(w*0.76)+" 0v"+num(w*0.26)+"Z", p.accent)
		p.rect(x+w*0.12, y-18, w*0.76, 14, p.ink)
	case 3: // flower
		for i := range 6 {
			a := float64(i) * math.Pi / 3
			p.circle(200+w*0.3+15*math.Cos(a), y+15*math.Sin(a), 11, p.second)
		}
		p.circle(200+w*0.3, y, 9, p.accent)
	case 4: // band
		p.round(x+2, y-4, w-4, 22, 8, p.accent)
	case 5: // propeller
		p.path("M"+num(x+w*0.1)+" "+num(y)+"a"+num(w*0.4)+" "+num(w*0.34)+" 0 0 1 "+num(w*0.8)+" 0Z", p.second)
		p.rect(197, y-w*0.34-26, 6, 28, p.ink)
		p.oval(200, y-w*0.34-26, 36, 8, p.accent)
	}
}

func bear(p *pen) {
	p.oval(200, 440, 160, 118, p.shade)
	if p.chance(0.5) {
		p.path("M110 338q90 44 180 0l6 34q-96 44-192 0Z", p.accent)
	}
	ear := p.between(38, 54)
	p.both(func() {
		p.circle(116, 140, ear, p.body)
		p.circle(116, 140, ear*0.55, p.bright)
	})
	p.oval(200, 220, p.between(118, 132), p.between(102, 118), p.body)
	if p.chance(0.3) { // a patch over the eyes
		p.both(func() { p.oval(150, 205, 34, 40, p.shade) })
	}
	p.oval(200, 262, p.between(54, 70), p.between(40, 50), p.bright)
	p.eyes(205, p.between(44, 56), 13)
	p.oval(200, 244, 21, 14, p.ink)
	p.mouth(274, 36)
	p.hat(132, 150)
}

func penguin(p *pen) {
	p.both(func() { p.oval(160, 372, 40, 16, p.accent) })
	w := p.between(96, 120)
	p.both(func() {
		p.turned(p.between(14, 46), 200-w+16, 215, func() { p.oval(200-w+6, 265, 24, 76, p.shade) })
	})
	p.path("M"+num(200-w)+" 240C"+num(200-w)+" 60 "+num(200+w)+" 60 "+num(200+w)+" 240C"+num(200+w)+" 410 "+num(200-w)+" 410 "+num(200-w)+" 240Z", p.body)
	p.oval(200, 290, w*0.7, 84, p.pale)
	switch p.IntN(4) {
	case 0:
		for i := range 3 {
			p.circle(200, 262+30*float64(i), 6, p.accent)
		}
	case 1:
		p.path("M"+num(200-w*0.85)+" 226q"+num(w*0.85)+" 44 "+num(w*1.7)+" 0v26q"+num(-w*0.85)+" 44 "+num(-w*1.7)+" 0Z", p.accent)
	case 2:
		p.poly(p.accent, 200, 244, 170, 230, 170, 258)
		p.poly(p.accent, 200, 244, 230, 230, 230, 258)
	}
	p.both(func() { p.circle(172, 172, 36, p.pale) })
	p.eyes(170, 32, 11)
	p.poly(p.second, 178, 196, 222, 196, 200, 222)
	p.hat(118, w*1.15)
}

// fug is a creature of any form, with as many eyes as it likes.
func fug(p *pen) {
	const n = 14
	var xs, ys [n]float64
	wobble := p.between(6, 26)
	for i := range n {
		a := float64(i)*2*math.Pi/n - math.Pi/2
		r := 128 + p.between(-wobble, wobble)
		xs[i], ys[i] = 200+r*math.Cos(a), 228+r*math.Sin(a)*1.04
	}
	for range p.IntN(4) { // horns and feelers
		x := p.between(120, 280)
		if p.chance(0.5) {
			p.poly(p.second, x-16, 140, x+p.between(-14, 14), 52, x+16, 140)
		} else {
			top := p.between(40, 76)
			p.line("M"+num(x)+" 150Q"+num(x+p.between(-30, 30))+" 100 "+num(x)+" "+num(top), p.shade, 9)
			p.circle(x, top, 13, p.accent)
		}
	}
	d := "M" + num((xs[0]+xs[n-1])/2) + " " + num((ys[0]+ys[n-1])/2)
	for i := range n {
		j := (i + 1) % n
		d += "Q" + num(xs[i]) + " " + num(ys[i]) + " " + num((xs[i]+xs[j])/2) + " " + num((ys[i]+ys[j])/2)
	}
	p.path(d+"Z", p.body)
	for range p.IntN(9) {
		p.circle(p.between(110, 290), p.between(150, 330), p.between(7, 18), p.shade)
	}
	switch eyes := 1 + p.IntN(4); eyes {
	case 1:
		p.circle(200, 195, 46, p.pale)
		p.circle(200+p.between(-12, 12), 195, 24, p.ink)
		p.circle(208, 186, 8, p.pale)
	case 2:
		p.eyes(195, p.between(38, 56), p.between(14, 22))
	default:
		for i := range eyes {
			x, r := 200+(float64(i)-float64(eyes-1)/2)*62, p.between(20, 32)
			y := 190 + p.between(-18, 18)
			p.circle(x, y, r, p.pale)
			p.circle(x+p.between(-6, 6), y+p.between(-4, 6), r*0.5, p.ink)
		}
	}
	w := p.between(70, 130)
	p.path("M"+num(200-w/2)+" 268h"+num(w)+"q"+num(-w*0.08)+" 62 "+num(-w/2)+" 62t"+num(-w/2)+" -62Z", p.ink)
	for i := range 2 + p.IntN(3) {
		x := 200 - w/2 + 12 + float64(i)*w/4.4
		p.poly(p.pale, x, 268, x+18, 268, x+9, 290)
	}
}

// mask is the mask of whom one meets at the end.
func mask(p *pen) {
	p.both(func() {
		switch p.IntN(3) {
		case 0:
			p.path("M150 140C90 120 70 60 96 20C104 70 140 92 182 110Z", p.second)
		case 1:
			p.path("M140 150C60 150 30 90 40 50C70 100 120 100 170 116Z", p.pale)
		default:
			p.poly(p.second, 130, 150, 110, 40, 176, 118)
			p.poly(p.accent, 160, 124, 156, 60, 192, 112)
		}
	})
	jaw := p.between(120, 160)
	p.path("M90 130Q200 80 310 130L"+num(200+jaw*0.82)+" 270Q"+num(200+jaw*0.5)+" 362 200 366Q"+num(200-jaw*0.5)+" 362 "+num(200-jaw*0.82)+" 270Z", p.body)
	p.both(func() {
		p.path("M90 130Q145 100 200 102V150Q140 150 104 196Z", p.shade)
		if p.chance(0.6) {
			p.poly(p.accent, 104, 216, 150, 236, 112, 262)
			p.poly(p.accent, 112, 270, 150, 268, 124, 300)
		}
		tilt := p.between(6, 26)
		p.path("M122 "+num(196-tilt)+"L184 206Q160 238 126 "+num(226-tilt)+"Z", p.pale)
		p.circle(158, 211-tilt*0.4, 9, p.ink)
		p.line("M116 "+num(178-tilt)+"L188 192", p.ink, 13)
	})
	p.poly(p.shade, 186, 214, 214, 214, 226, 262, 200, 272, 174, 262)
	p.path("M142 288q58 22 116 0q-6 48-58 50t-58-50Z", p.ink)
	p.both(func() {
		p.poly(p.pale, 156, 294, 176, 298, 164, 272+p.between(-14, 4))
		p.poly(p.pale, 180, 336, 196, 338, 190, 312)
	})
	switch p.IntN(3) {
	case 0:
		p.circle(200, 136, 16, p.accent)
		p.circle(200, 136, 7, p.pale)
	case 1:
		p.poly(p.accent, 200, 112, 214, 138, 200, 164, 186, 138)
	}
}

func turnip(p *pen) {
	leaves := 3 + p.IntN(4)
	for i := range leaves {
		lean := (float64(i) - float64(leaves-1)/2) * p.between(20, 30)
		p.turned(lean, 200, 160, func() {
			h := p.between(86, 128)
			p.path("M200 168C172 "+num(168-h*0.5)+" 176 "+num(168-h)+" 200 "+num(160-h)+"C224 "+num(168-h)+" 228 "+num(168-h*0.5)+" 200 168Z", oklch([...]float64{0.66, 0.58, 0.62}[p.light]+0.03*float64(i%2), 0.13, 135+p.between(-14, 14)))
			p.line("M200 166V"+num(178-h), p.pale, 3)
		})
	}
	w := p.between(116, 142)
	p.line("M200 350Q"+num(p.between(180, 220))+" 376 "+num(p.between(170, 230))+" 392", p.pale, 8)
	d := "M" + num(200-w) + " 240C" + num(200-w) + " 120 " + num(200+w) + " 120 " + num(200+w) + " 240C" + num(200+w) + " 310 226 336 200 364C174 336 " + num(200-w) + " 310 " + num(200-w) + " 240Z"
	p.path(d, p.pale)
	p.add(`<clipPath id="c"><path d="`, d, `"/></clipPath>`)
	p.group(`clip-path="url(#c)"`, func() {
		switch p.IntN(3) {
		case 0:
			p.oval(200, 140, 170, p.between(58, 84), p.body)
		case 1:
			p.rect(0, 100, side, p.between(80, 110), p.body)
			p.rect(0, 262, side, 14, p.bright)
		default:
			for i := range 6 {
				p.oval(70+52*float64(i), 146, 30, p.between(40, 76), p.body)
			}
		}
	})
	p.both(func() { p.oval(136, 262, 18, 11, p.bright) })
	p.eyes(236, p.between(38, 52), 12)
	p.mouth(264, p.between(26, 40))
	if p.chance(0.3) {
		p.hat(150, 110)
	}
}

func bee(p *pen) {
	wing := p.one(p.pale, p.bright)
	p.faint(0.85, func() {
		p.both(func() {
			p.turned(-p.between(24, 44), 190, 200, func() { p.oval(190, 110, 44, 92, wing) })
			p.turned(-p.between(66, 84), 190, 220, func() { p.oval(190, 140, 32, 74, wing) })
		})
	})
	w := p.between(84, 112)
	d := "M" + num(200-w) + " 240C" + num(200-w) + " 130 " + num(200+w) + " 130 " + num(200+w) + " 240C" + num(200+w) + " 320 230 356 200 372C170 356 " + num(200-w) + " 320 " + num(200-w) + " 240Z"
	p.poly(p.ink, 188, 360, 212, 360, 200, 392)
	p.path(d, p.body)
	p.add(`<clipPath id="c"><path d="`, d, `"/></clipPath>`)
	gap := p.between(34, 46)
	p.group(`clip-path="url(#c)"`, func() {
		for y := 258.0; y < 370; y += gap {
			p.path("M60 "+num(y)+"q140 34 280 0v"+num(gap*0.46)+"q-140 34-280 0Z", p.ink)
		}
	})
	p.both(func() {
		p.line("M178 164Q158 110 "+num(p.between(124, 160))+" 96", p.ink, 7)
	})
	top := p.one(p.accent, p.second, p.ink)
	p.both(func() { p.circle(142, 94, 12, top) })
	p.eyes(205, p.between(34, 46), p.between(12, 18))
	p.mouth(232, 32)
	if p.chance(0.45) {
		p.hat(158, 96)
	}
}

// leafling is somebody with a leaf for a head.
func leafling(p *pen) {
	p.path("M70 400C80 322 150 306 200 306S320 322 330 400Z", p.one(p.accent, p.second, p.shade))
	p.rect(182, 262, 36, 58, p.shade)
	n := []int{5, 7, 7, 9}[p.IntN(4)]
	long, thick := p.between(128, 150), p.between(24, 36)
	for pass, fill := range [...]string{p.shade, p.body} {
		for i := range n {
			a := (float64(i) - float64(n-1)/2) * 232 / float64(n-1)
			h := long * (0.62 + 0.38*math.Cos(a/150*math.Pi/2))
			p.turned(a, 200, 220, func() {
				t := thick - 6*float64(pass)
				h := h - 10*float64(pass)
				p.path("M200 220C"+num(200-t*1.5)+" "+num(220-h*0.45)+" "+num(200-t*0.7)+" "+num(220-h*0.8)+" 200 "+num(220-h)+"C"+num(200+t*0.7)+" "+num(220-h*0.8)+" "+num(200+t*1.5)+" "+num(220-h*0.45)+" 200 220Z", fill)
				if pass == 1 {
					p.line("M200 212V"+num(232-h), p.shade, 3)
				}
			})
		}
	}
	p.oval(200, 226, p.between(62, 74), p.between(56, 66), p.bright)
	p.eyes(218, p.between(25, 33), p.between(9, 12))
	p.mouth(244, p.between(24, 36))
	switch p.IntN(3) {
	case 0:
		p.path("M168 310q32 40 64 0l-10 36h-44Z", p.pale)
	case 1:
		for i := range 5 {
			p.circle(152+24*float64(i), 322+14*math.Sin(math.Pi*float64(i)/4), 8, p.pale)
		}
	}
}

func moth(p *pen) {
	for i := range 4 {
		p.faint(0.14, func() { p.circle(200, 205, 175-36*float64(i), p.second) })
	}
	high, wide, low := p.between(60, 100), p.between(24, 56), p.between(300, 360)
	p.both(func() {
		p.path("M194 220C150 "+num(low+40)+" 70 "+num(low+10)+" 84 262C96 232 160 214 194 210Z", p.shade)
		p.circle(132, 276, p.between(14, 22), p.accent)
		p.circle(132, 276, 8, p.pale)
		p.path("M194 214C170 120 100 "+num(high-20)+" "+num(wide)+" "+num(high)+"C10 170 70 250 194 240Z", p.body)
		switch p.IntN(3) {
		case 0:
			p.path("M190 212C160 150 110 "+num(high+20)+" "+num(wide+26)+" "+num(high+20)+"C50 160 100 216 190 226Z", p.bright)
		case 1:
			for i := range 4 {
				t := float64(i) / 4
				p.line("M"+num(180-90*t)+" "+num(214-50*t)+"Q"+num(150-90*t)+" "+num(190-40*t)+" "+num(170-96*t)+" "+num(232-26*t), p.bright, 7)
			}
		default:
			p.line("M190 218Q120 170 "+num(wide+14)+" "+num(high+16), p.shade, 5)
			p.line("M190 222Q110 200 60 180", p.shade, 5)
		}
		r := p.between(18, 30)
		p.circle(104, 160, r, p.accent)
		p.circle(104, 160, r*0.62, p.second)
		p.circle(104, 160, r*0.28, p.ink)
		p.line("M196 142C180 110 160 96 "+num(p.between(130, 160))+" "+num(p.between(70, 96)), p.bright, 5)
	})
	p.oval(200, 236, 20, 74, p.bright)
	for y := 224.0; y < 300; y += 20 {
		p.rect(182, y, 36, 7, p.shade)
	}
	p.circle(200, 158, 25, p.bright)
	p.both(func() { p.circle(190, 154, 6, p.ink) })
}

// garden is a pot of tin with plants of tin.
func garden(p *pen) {
	p.rect(0, 340, side, 60, p.shade)
	stems := 2 + p.IntN(4)
	for i := range stems {
		x := 200 + (float64(i)-float64(stems-1)/2)*p.between(30, 46)
		tip, top := x+(x-200)*p.between(0.3, 0.9), p.between(70, 165)
		p.line("M"+num(200+(x-200)*0.4)+" 280Q"+num(x)+" 220 "+num(tip)+" "+num(top), p.body, 8)
		for j := range 2 {
			y := 190 + 40*float64(j)
			p.oval(x-18, y, 20, 9, p.body)
			p.oval(x+18, y-14, 20, 9, p.bright)
		}
		fill := p.one(p.accent, p.second, p.bright)
		switch p.IntN(4) {
		case 0: // petals
			for k := range 8 {
				p.turned(45*float64(k), tip, top, func() { p.oval(tip, top-26, 10, 18, fill) })
			}
			p.circle(tip, top, 15, p.ink)
			p.circle(tip, top, 6, p.pale)
		case 1: // cogs
			for k := range 8 {
				p.turned(45*float64(k), tip, top, func() { p.rect(tip-6, top-36, 12, 14, fill) })
			}
			p.circle(tip, top, 27, fill)
			p.circle(tip, top, 11, p.bg)
		case 2: // tulips
			p.path("M"+num(tip-26)+" "+num(top-30)+"l13 16l13-20l13 20l13-16v28a26 26 0 0 1-52 0Z", fill)
		default: // bulbs
			p.circle(tip, top, 25, fill)
			p.faint(0.5, func() { p.circle(tip-8, top-8, 8, p.pale) })
			p.rect(tip-9, top+20, 18, 12, p.ink)
		}
	}
	w := p.between(70, 96)
	pot, rim := p.one(p.far, p.shade, p.accent), p.one(p.pale, p.second)
	p.poly(pot, 200-w, 268, 200+w, 268, 200+w*0.72, 376, 200-w*0.72, 376)
	p.faint(0.2, func() { p.poly(p.ink, 200+w*0.3, 268, 200+w, 268, 200+w*0.72, 376, 200+w*0.2, 376) })
	p.round(200-w-10, 256, 2*w+20, 26, 6, rim)
	for i := range 5 {
		p.circle(200-w+w*0.5*float64(i), 269, 4, p.shade)
	}
	switch p.IntN(3) {
	case 0:
		for i := range 4 {
			p.rect(200-w*0.86+float64(i)*w*0.46, 296, w*0.2, 62, rim)
		}
	case 1:
		p.eyes(312, 26, 9)
		p.mouth(334, 26)
	default:
		p.line("M"+num(200-w*0.84)+" 316l20-14l20 14l20-14l20 14l20-14l20 14l20-14", rim, 6)
	}
}

// fox is folded from paper.
func fox(p *pen) {
	spread, chin := p.between(118, 146), p.between(330, 362)
	tip := p.between(40, 76)
	p.poly(p.shade, 200, 400, 90, 400, 150, 320, 250, 320, 310, 400)
	// The light comes from the left: each facet has a fold of its own.
	p.poly(p.body, 200-spread, tip, 200-spread*0.88, 214, 168, 138)
	p.poly(p.ink, 200-spread*0.93, tip+34, 200-spread*0.84, 176, 150, 134)
	p.poly(p.shade, 200+spread, tip, 200+spread*0.88, 214, 232, 138)
	p.poly(p.ink, 200+spread*0.93, tip+34, 200+spread*0.84, 176, 250, 134)
	p.poly(p.bright, 168, 138, 232, 138, 200, 196)
	p.poly(p.body, 168, 138, 200, 196, 200, 300, 200-spread*0.88, 214)
	p.poly(p.shade, 232, 138, 200, 196, 200, 300, 200+spread*0.88, 214)
	p.poly(p.pale, 200-spread*0.88, 214, 200-spread*1.06, 268, 178, 334, 200, 262)
	p.poly(p.bright, 200+spread*0.88, 214, 200+spread*1.06, 268, 222, 334, 200, 262)
	p.poly(p.pale, 172, 262, 200, 236, 200, chin)
	p.poly(p.bright, 228, 262, 200, 236, 200, chin)
	p.poly(p.ink, 184, chin-28, 216, chin-28, 200, chin)
	switch p.IntN(4) {
	case 0:
		p.both(func() { p.poly(p.ink, 138, 214, 176, 232, 146, 238) })
	case 1:
		p.both(func() { p.line("M140 226l18 10l18-4", p.ink, 7) })
	case 2:
		p.both(func() {
			p.poly(p.pale, 132, 212, 178, 232, 144, 244)
			p.circle(154, 230, 8, p.ink)
		})
	default:
		p.both(func() { p.circle(156, 226, 10, p.ink) })
	}
	switch p.IntN(5) {
	case 0: // a leaf on the brow
		p.path("M200 128q-34-40 0-84q34 44 0 84Z", p.accent)
		p.line("M200 124V66", p.pale, 3)
	case 1: // marks
		p.poly(p.accent, 200, 152, 210, 170, 200, 188, 190, 170)
		p.both(func() { p.line("M120 258l34 8M124 276l28-2", p.accent, 6) })
	case 2: // a scarf
		p.poly(p.accent, 112, 332, 288, 332, 312, 372, 200, 396, 88, 372)
		p.poly(p.second, 200, 350, 236, 400, 164, 400)
	}
}

func comet(p *pen) {
	x, y := p.between(110, 290), p.between(90, 180)
	angle := p.between(-64, -20)
	if p.chance(0.5) {
		angle = -180 - angle
	}
	if p.chance(0.55) { // a planet
		px, py, r := p.between(60, 340), p.between(200, 290), p.between(34, 74)
		p.circle(px, py, r, p.shade)
		p.faint(0.35, func() { p.circle(px-r*0.25, py-r*0.25, r*0.7, p.bright) })
		if p.chance(0.6) {
			p.turned(-18, px, py, func() {
				p.add(`<ellipse cx="`, num(px), `" cy="`, num(py), `" rx="`, num(r*1.7), `" ry="`, num(r*0.36), `" fill="none" stroke="`, p.second, `" stroke-width="7"/>`)
			})
		}
	}
	p.turned(angle, x, y, func() {
		for i, fill := range [...]string{p.body, p.accent, p.bright} {
			w, length := 40-11*float64(i), p.between(300, 420)-84*float64(i)
			p.faint(0.5+0.2*float64(i), func() {
				p.path("M"+num(x)+" "+num(y-w)+"Q"+num(x+length*0.5)+" "+num(y-w*0.5)+" "+num(x+length)+" "+num(y)+"Q"+num(x+length*0.5)+" "+num(y+w*0.5)+" "+num(x)+" "+num(y+w)+"Z", fill)
			})
		}
	})
	r := p.between(30, 46)
	p.circle(x, y, r, p.pale)
	p.circle(x+r*0.2, y+r*0.15, r*0.7, p.second)
	if p.chance(0.35) { // some have a face
		for _, dx := range [...]float64{-10, 12} {
			p.line("M"+num(x+dx-6)+" "+num(y)+"q6 8 12 0", p.ink, 4)
		}
	}
	layers := 2 + p.IntN(2)
	for i := range layers {
		fill := [...]string{p.far, p.shade, p.ink}[i+3-layers]
		base, d := 300+34*float64(i), "M0 400V"
		d += num(base + p.between(-14, 14))
		for at := 0.0; at < side; at += 100 {
			d += "Q" + num(at+50) + " " + num(base+p.between(-52, 40)) + " " + num(at+100) + " " + num(base+p.between(-14, 14))
		}
		p.path(d+"V400Z", fill)
	}
}

// tiles are quarter circles and squares in a grid.
func tiles(p *pen) {
	n := 3 + p.IntN(3)
	w := float64(side) / float64(n)
	colors := [...]string{p.body, p.shade, p.bright, p.accent, p.second, p.bg, p.far, p.pale}
	for i := range n * n {
		x, y := float64(i%n)*w, float64(i/n)*w
		p.rect(x, y, w+0.5, w+0.5, colors[p.IntN(len(colors))])
		fill := colors[p.IntN(len(colors))]
		switch p.IntN(4) {
		case 0:
			p.turned(90*float64(p.IntN(4)), x+w/2, y+w/2, func() {
				p.path("M"+num(x)+" "+num(y)+"h"+num(w)+"a"+num(w)+" "+num(w)+" 0 0 1 "+num(-w)+" "+num(w)+"Z", fill)
			})
		case 1:
			p.circle(x+w/2, y+w/2, w*p.between(0.2, 0.44), fill)
		case 2:
			p.turned(90*float64(p.IntN(4)), x+w/2, y+w/2, func() { p.poly(fill, x, y, x+w, y, x, y+w) })
		}
	}
}

// arcs are rainbows that overlap.
func arcs(p *pen) {
	colors := [...]string{p.body, p.second, p.accent, p.bright, p.shade}
	for i := range 4 + p.IntN(3) {
		x, r := p.between(30, 370), p.between(90, 190)
		for ring := 0; r > 16; ring++ {
			p.path("M"+num(x-r)+" 400a"+num(r)+" "+num(r)+" 0 0 1 "+num(2*r)+" 0Z", colors[(i+ring)%len(colors)])
			r -= p.between(16, 34)
		}
	}
}

// hills are hills one behind another, under a sun.
func hills(p *pen) {
	p.circle(p.between(90, 310), p.between(80, 160), p.between(40, 76), p.second)
	for i, fill := range [...]string{p.bright, p.body, p.shade, p.ink} {
		base := 190 + 56*float64(i)
		p.path("M0 400V"+num(base+p.between(-24, 24))+"C110 "+num(base+p.between(-80, 50))+" 260 "+num(base+p.between(-60, 80))+" 400 "+num(base+p.between(-30, 30))+"V400Z", fill)
	}
}
