package impact

import "math"

// The E-model of ITU-T G.107 (06/2015), narrowband, all defaults of its table 3, with T = Ta = delay and Tr = 2 Ta.
// Idte is not below 0, else R would rise by 0.1 at a delay of 1 ms.

const (
	worstIe = 95.0 // G.107: Ie is at most 95

	slr, rlr, stmr, dr = 8.0, 2.0, 15.0, 3.0
	ds                 = 3.0
	telr, wepl, qdu    = 65.0, 110.0, 1.0
	nc, nfor           = -70.0, -64.0
	ps, pr             = 35.0, 35.0
)

var (
	circuitNoise = noise()
	basicRatio   = 15.0 - float64(1.5*(slr+circuitNoise))
	loudness     = overallLoudness(circuitNoise)
	quantization = quantizing(basicRatio)
	// Delays are whole ms nearly always: those of up to two seconds are worked out once.
	byWholeDelay = func() (table [2001]float64) {
		for ms := range table {
			table[ms] = ratingOfDelay(float64(ms))
		}
		return table
	}()
	bestR = byWholeDelay[0]
)

// byDelay is R of a one-way delay in ms alone.
func byDelay(delay float64) float64 {
	if ms := int(delay); delay < float64(len(byWholeDelay)) && float64(ms) == delay {
		return byWholeDelay[ms]
	}
	return ratingOfDelay(delay)
}

// rating is R for what a direction suffers: the share of audio that arrives (random loss), delay in ms, sum of ie;
// bpl is the packet-loss robustness in percent.
func rating(survival, delay, ie, bpl float64) float64 {
	if ie > worstIe {
		ie = worstIe
	}
	if survival >= 1 {
		return byDelay(delay) - ie
	}
	ppl := float64(100 * (1 - survival))
	return byDelay(delay) - ie - float64((worstIe-ie)*ppl)/(ppl+bpl)
}

// goodOrBetter is the share of listeners who call R good or better (G.107 Annex B).
func goodOrBetter(r float64) float64 {
	return float64(0.5 * (1 + math.Erf((r-60)/(16*math.Sqrt2))))
}

// meanOpinion is the score of R, 1 to 4.5 (G.107 Annex B, equation B-4; 1 where the cubic falls below).
func meanOpinion(r float64) float64 {
	if r <= 0 {
		return 1
	}
	if r >= 100 {
		return 4.5
	}
	return max(1, 1+float64(0.035*r)+float64(r*(r-60)*(100-r)*7e-6))
}

// ratingOfDelay is Ro - Is - Id.
func ratingOfDelay(t float64) float64 {
	ist := sidetone(t)
	simultaneous := loudness + ist + quantization
	delayed := talkerEcho(t, ist) + listenerEcho(2*t) + delayImpairment(t)
	return basicRatio - simultaneous - delayed
}

// noise is No: the power sum of circuit noise, both rooms' noise and the noise floor, dBm0p (clause 7.2).
func noise() float64 {
	const olr, lstr = slr + rlr, stmr + dr
	send := ps - slr - ds - 100 + float64(0.004*math.Pow(ps-olr-ds-14, 2))
	pre := pr + float64(10*math.Log10(1+math.Pow(10, (10-lstr)/10)))
	receive := rlr - 121 + pre + float64(0.008*math.Pow(pre-35, 2))
	sum := 0.0
	for _, n := range []float64{nc, send, receive, nfor + rlr} {
		sum += math.Pow(10, n/10)
	}
	return 10 * math.Log10(sum)
}

// overallLoudness is Iolr: too low a loudness (clause 7.3).
func overallLoudness(no float64) float64 {
	x := float64((slr + rlr + float64(0.2*(64+no-rlr))) / 8)
	return 20 * (math.Pow(1+math.Pow(x, 8), 1.0/8) - x)
}

// sidetone is Ist: sidetone that is not optimal (clause 7.3).
func sidetone(t float64) float64 {
	st := float64(-10 * math.Log10(math.Pow(10, -stmr/10)+float64(math.Exp(-t/4)*math.Pow(10, -telr/10))))
	return float64(12*math.Pow(1+math.Pow((st-13)/6, 8), 1.0/8)) -
		float64(28*math.Pow(1+math.Pow((st+1)/19.4, 35), 1.0/35)) -
		float64(13*math.Pow(1+math.Pow((st-3)/33, 13), 1.0/13)) + 29
}

// quantizing is Iq: quantizing distortion (clause 7.3).
func quantizing(ro float64) float64 {
	q := 37 - float64(15*math.Log10(qdu))
	g := 1.07 + float64(0.258*q) + float64(0.0602*q*q)
	y := (ro-100)/15 + 46/8.4 - g/9
	z := 46.0/30 - g/40
	return 15 * math.Log10(1+math.Pow(10, y)+math.Pow(10, z))
}

// talkerEcho is Idte: one's own voice coming back (clause 7.4); 0 below 1 ms, and never below 0.
func talkerEcho(t, ist float64) float64 {
	if t < 1 {
		return 0
	}
	terv := telr - float64(40*math.Log10((1+t/10)/(1+t/150))) + float64(6*math.Exp(-0.3*t*t))
	if stmr < 9.0 {
		terv += ist / 2
	}
	half := float64((float64(-1.5*(circuitNoise-rlr)) - (80 + float64(2.5*(terv-14)))) / 2)
	return max(0, (half+math.Sqrt(float64(half*half)+100)-1)*(1-math.Exp(-t)))
}

// listenerEcho is Idle: the other voice heard twice (clause 7.4).
func listenerEcho(tr float64) float64 {
	half := float64((basicRatio - float64(10.5*(wepl+7)*math.Pow(tr+1, -0.25))) / 2)
	return half + math.Sqrt(float64(half*half)+169)
}

// delayImpairment is Idd: absolute one-way delay of ta ms, however good the echo control (clause 7.4).
func delayImpairment(ta float64) float64 {
	if ta <= 100 {
		return 0
	}
	x := math.Log2(ta / 100)
	return 25 * (math.Pow(1+math.Pow(x, 6), 1.0/6) - float64(3*math.Pow(1+math.Pow(x/3, 6), 1.0/6)) + 2)
}
