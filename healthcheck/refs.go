package healthcheck

import "time"

// refGrace is how long an index stays with its check after it was last wanted. A reload takes
// far less from compiling the first room's table to setting the last one's, and no query holds
// a table for so long.
const refGrace = time.Minute

// refs hands out indices: used ones that came back first, so that snapshots stay dense.
type refs struct {
	next Ref
	free []Ref
}

func (r *refs) take() Ref {
	if n := len(r.free); n > 0 {
		ref := r.free[n-1]
		r.free = r.free[:n-1]
		return ref
	}
	r.next++
	return r.next - 1
}

func (r *refs) give(ref Ref) { r.free = append(r.free, ref) }
