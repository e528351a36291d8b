package steer

// What a client's draw is used for. Each use has its own bits, so that the choice between pools
// says nothing about the choice inside one.
const (
	drawPool = iota + 1
	drawShed
	drawMember // and the steps after it: the second, the third member, ...
)

// share is a number from 0 up to but without 1, the same for each A, AAAA and SRV record that is
// made with one draw.
func (c Client) share(use int) float64 {
	return portion(mix(c.Draw + uint64(use)*golden))
}

// portion makes bits a number from 0 up to but without 1.
func portion(bits uint64) float64 { return float64(bits>>11) / (1 << 53) }

// Unrelated gives bits that tell nothing about what a decision made of a draw, for what else an answer
// leaves to chance. Those of zero are zero.
func Unrelated(draw uint64) uint64 { return mix(draw) }

// golden is the step of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
// generators, 2014), of which mix is the output function: neighbouring inputs give unrelated
// outputs, and no two inputs the same.
const golden = 0x9e3779b97f4a7c15

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
