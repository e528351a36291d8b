package httpbench

import "context"

// streamRow measures one stream through tcp mode, ours and HAProxy's.
func (r *run) streamRow(_ context.Context) error {
	src, err := r.stage.role(task{Role: roleSource, Target: r.stage.source})
	if err != nil {
		return err
	}
	defer r.stage.end(src)
	if _, err := src.line(); err != nil {
		return err
	}
	rate := map[string][]float64{}
	err = r.turns("one tcp stream", []*server{r.self, r.haproxy}, func(v *server) error {
		var got countResult
		if err := r.stage.result(task{Role: roleSink, Target: v.streams, For: r.o.Length}, &got); err != nil {
			return err
		}
		rate[v.name] = append(rate[v.name], float64(got.N)/1e6/got.Took.Seconds())
		return nil
	})
	if err != nil {
		return err
	}
	r.add(Row{
		ID: rowStream, Name: "one stream in tcp mode", Unit: "MB/s",
		Figures: []Figure{figure(ours, rate[ours]), figure(haproxy, rate[haproxy])},
		Gates:   []Gate{pairGate("x "+haproxy, paired(rate[ours], rate[haproxy], ratio), minStream, true)},
	})
	return nil
}
