package simulate

// ring is a queue that grows when it must and never shrinks.
type ring[T any] struct {
	items []T // a power of two, or none
	first int
	n     int
}

func (r *ring[T]) len() int { return r.n }

func (r *ring[T]) push(v T) {
	if r.n == len(r.items) {
		grown := make([]T, max(16, 2*len(r.items)))
		for i := range r.n {
			grown[i] = r.items[(r.first+i)&(len(r.items)-1)]
		}
		r.items, r.first = grown, 0
	}
	r.items[(r.first+r.n)&(len(r.items)-1)] = v
	r.n++
}

// front is the oldest; there must be one.
func (r *ring[T]) front() *T { return &r.items[r.first] }

func (r *ring[T]) pop() T {
	v := r.items[r.first]
	r.first = (r.first + 1) & (len(r.items) - 1)
	r.n--
	return v
}
