package realserver

import "testing"

func TestApacheLife(t *testing.T) {
	s := Apache(t, ApacheOptions{ports: takenFirst(t)})
	webLife(t, func() string { return fetch("http://"+s.Addr+"/", nil) }, s.Stop, s.Kill, s.Start, s.Pause, s.Resume)
}

func TestApacheProxy(t *testing.T) {
	behind := HAProxy(t, HAProxyOptions{Body: "behind"})
	s := Apache(t, ApacheOptions{Config: "ProxyPass /through/ http://" + behind.Addr + "/"})
	if got := fetch("http://"+s.Addr+"/through/x", nil); got != "200 behind" {
		t.Errorf("through the proxy: %s", got)
	}
}
