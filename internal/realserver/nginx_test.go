package realserver

import "testing"

func TestNginxLife(t *testing.T) {
	s := Nginx(t, NginxOptions{Config: `location = /busy { return 503 "busy"; }`, ports: takenFirst(t)})
	webLife(t, func() string { return fetch("http://"+s.Addr+"/", nil) }, s.Stop, s.Kill, s.Start, s.Pause, s.Resume)
	if got := fetch("https://"+s.TLSAddr+"/", tlsConfig(t, s.CAFile)); got != "200 CB_IS_OKAY" {
		t.Errorf("over TLS: %s", got)
	}
	if got := fetch("http://"+s.Addr+"/busy", nil); got != "503 busy" {
		t.Errorf("its own location: %s", got)
	}
}
