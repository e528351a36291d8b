package httpbench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"switchpoint/bench/adminsocket"
)

// abilities are those that not every build of ours has.
type abilities struct{ accessLog, tcp bool }

// probeAbilities asks our own binary which keys its configuration has.
func (s *stage) probeAbilities(ctx context.Context, v *server) (abilities, error) {
	if err := s.checkOwn(ctx, v, abilities{}); err != nil {
		return abilities{}, err
	}
	return abilities{
		accessLog: s.checkOwn(ctx, v, abilities{accessLog: true}) == nil,
		tcp:       s.checkOwn(ctx, v, abilities{tcp: true}) == nil,
	}, nil
}

func (s *stage) checkOwn(ctx context.Context, v *server, can abilities) error {
	file := s.file("check.toml")
	if err := os.WriteFile(file, []byte(s.ownConfig(v, can)), 0o600); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, s.self, "check", "-c", file).CombinedOutput() //nolint:gosec // G204: it runs itself
	if err != nil {
		return fmt.Errorf("the configuration of the benchmark does not fit %s: %w\n%s", s.self, err, out)
	}
	return nil
}

// ownConfig is Switchpoint as a plain balancer: persistence, health checks, metrics, and a
// sampled access log where the build has one.
func (s *stage) ownConfig(v *server, can abilities) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[node]\nname = \"bench\"\nstate_dir = %q\n\n[log]\nlevel = \"warn\"\n\n[[datacenter]]\nname = \"here\"\n\n", s.file("state"))
	fmt.Fprintf(&b, "[[monitor]]\nname = \"alive\"\nkind = \"http\"\nsend = \"GET %s\"\n\n", alivePath)
	log := ""
	if can.accessLog {
		log = fmt.Sprintf("access_log = %q\naccess_log_sample = %d\n", s.file("switchpoint.access"), logSample)
	}
	fmt.Fprintf(&b, "[[lb.listener]]\nname = \"plain\"\nlisten = %q\npool = \"members\"\n%s\n", v.plain, log)
	fmt.Fprintf(&b, "[[lb.listener]]\nname = \"secure\"\nlisten = %q\npool = \"members\"\ncert = %q\nkey = %q\n%s\n", v.secure, s.cert, s.key, log)
	fmt.Fprintf(&b, "[[lb.pool]]\nname = \"members\"\nmonitor = \"alive\"\nmembers = [{address = %q}, {address = %q}]\n\n", s.members[0], s.members[1])
	if can.tcp {
		fmt.Fprintf(&b, "[[lb.listener]]\nname = \"streams\"\nmode = \"tcp\"\nlisten = %q\npool = \"source\"\n\n", v.streams)
		fmt.Fprintf(&b, "[[lb.pool]]\nname = \"source\"\nmembers = [{address = %q}]\n", s.source)
	}
	return b.String()
}

// mallocs is how many objects the process has allocated since it started.
func mallocs(ctx context.Context, socket string) (float64, error) {
	const metric = "go_memstats_mallocs_total"
	page, err := adminsocket.Metrics(ctx, socket)
	if err != nil {
		return 0, err
	}
	n, ok := page[metric]
	if !ok {
		return 0, fmt.Errorf("no %s in /metrics", metric)
	}
	return n, nil
}

// profile writes a CPU profile of length d to a file.
func profile(ctx context.Context, socket, file string, d time.Duration) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	err = adminsocket.Get(ctx, socket, fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(d.Seconds()))), out)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return err
}
