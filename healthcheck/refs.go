package healthcheck

// refs hands out indices: the smallest ones first, so that snapshots stay dense.
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
