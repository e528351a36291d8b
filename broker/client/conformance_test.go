package client

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"switchpoint/broker/api"
	"switchpoint/broker/api/conformance"
	"switchpoint/internal/covers"
)

// TestConformance: this client does right what the makers of others are asked to do right.
func TestConformance(t *testing.T) {
	covers.Req(t, "LG4", "LG5")
	t.Parallel()
	s, err := conformance.New(conformance.Options{Listen: "127.0.0.1:0", Slow: 1500 * time.Millisecond, RetryAfter: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, s.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, c := range s.Scenarios() {
		wg.Go(func() {
			asked := 0
			_, err := Login(ctx, Options{
				URL: s.URL(), CA: ca, User: c.Name, Password: conformance.Password, Client: api.Client{Name: "switchpoint", Version: "1"},
				AskNewPassword: func(context.Context, api.Prompt) (string, error) {
					if asked++; asked == 1 && c.Name == "new-password-twice" {
						return "too-simple", nil
					}
					return conformance.NewPassword, nil
				},
			})
			if (err == nil) != c.Succeeds {
				t.Errorf("%s ended with %v", c.Name, err)
			}
			var no *RefusedError
			if len(c.Name) > 8 && c.Name[:8] == "refused-" && (!errors.As(err, &no) || no.Reason.Code != c.Name[8:]) {
				t.Errorf("%s: %v", c.Name, err)
			}
		})
	}
	wg.Wait()
	report := s.Report()
	if !report.Passed() || len(report.Strays) > 0 || !s.Quiet(0) {
		t.Errorf("%v", report.WriteText(t.Output()))
	}
	for _, r := range report.Results {
		if len(r.Findings) > 0 {
			t.Errorf("%s: %+v", r.Scenario, r.Findings)
		}
	}
}
