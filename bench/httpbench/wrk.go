package httpbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// wrkScript makes wrk send what a row needs and print its counts in one line.
const wrkScript = `local method, size = "%s", %d
if method ~= "GET" then wrk.method = method; wrk.body = string.rep("x", size) end
wrk.headers["Host"] = "` + serverName + `"
function done(summary, latency, requests)
  local e = summary.errors
  print(string.format("RESULT %%d %%d %%d %%d %%d %%d", summary.requests, e.connect, e.read, e.write, e.status, e.timeout))
end
`

// wrk runs the client against a server and gives the requests that it completed.
func (r *run) wrk(ctx context.Context, v *server, w workload, d time.Duration) (int64, error) {
	method, scheme, target := "GET", "http", v.plain
	if w.body > 0 {
		method = "POST"
	}
	if w.tls {
		scheme, target = "https", v.secure
	}
	script := r.stage.file("wrk.lua")
	if err := os.WriteFile(script, fmt.Appendf(nil, wrkScript, method, w.body), 0o600); err != nil {
		return 0, err
	}
	log := r.stage.file("wrk.log")
	seconds := max(1, int(d.Round(time.Second).Seconds()))
	p, err := launch("wrk", log, r.stage.loadCore, false, nil, r.programs.wrk,
		"-t1", "-c"+strconv.Itoa(w.conns), "-d"+strconv.Itoa(seconds)+"s", "--timeout", "10s", "-s", script, scheme+"://"+target+w.path)
	if err != nil {
		return 0, err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
	case <-time.After(d + time.Minute):
	}
	ended := p.ended()
	p.stop()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if !ended {
		return 0, p.fault(errors.New("did not end"))
	}
	out, err := os.ReadFile(filepath.Clean(log))
	if err != nil {
		return 0, err
	}
	n, err := parseWrk(string(out))
	if err != nil {
		return 0, p.fault(fmt.Errorf("against %s: %w", v.name, err))
	}
	return n, nil
}

// parseWrk reads the line that wrkScript prints.
func parseWrk(out string) (int64, error) {
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) != 7 || fields[0] != "RESULT" {
			continue
		}
		var n [6]int64
		for i, f := range fields[1:] {
			v, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %q: %w", line, err)
			}
			n[i] = v
		}
		if n[1]+n[2]+n[3]+n[4]+n[5] > 0 {
			return 0, fmt.Errorf("errors: %d connect, %d read, %d write, %d status, %d time-out", n[1], n[2], n[3], n[4], n[5])
		}
		if n[0] == 0 {
			return 0, errors.New("no request was completed")
		}
		return n[0], nil
	}
	return 0, errors.New("it printed no result")
}
