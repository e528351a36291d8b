package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
)

// The demo's ports as its files have them.
const (
	portDNS       = 5300
	portLB        = 8443
	portBroker    = 8444
	portPeer      = 8445
	portDirectory = 6360
)

// addresses per port: every process has its own address, so that one port number serves a role
// in both data centres.
func demoSockets() map[int][]string {
	return map[int][]string{
		portDNS:       {"127.0.1.53", "127.0.2.53"},
		portLB:        {"127.0.1.80", "127.0.2.80"},
		portBroker:    {"127.0.1.11", "127.0.1.12", "127.0.2.11", "127.0.2.12"},
		portPeer:      {"127.0.1.11", "127.0.1.12", "127.0.2.11", "127.0.2.12", "127.0.1.53", "127.0.2.53"},
		portDirectory: {"127.0.1.36"},
	}
}

// choosePorts keeps each port of the files if it is free on all of its addresses, else finds
// another one, so that two demos run side by side.
func choosePorts(sockets map[int][]string) (map[int]int, error) {
	chosen, taken := map[int]int{}, map[int]bool{}
	for port, addrs := range sockets {
		now := port
		for tries := 0; taken[now] || !free(addrs, now); tries++ {
			if tries == 200 {
				return nil, fmt.Errorf("no port is free on all of %v; is loopback usable here?", addrs)
			}
			// Below the range that the kernel hands out to clients.
			now = 10000 + rand.IntN(20000)
		}
		chosen[port], taken[now] = now, true
	}
	return chosen, nil
}

func free(addrs []string, port int) bool {
	for _, a := range addrs {
		address := net.JoinHostPort(a, strconv.Itoa(port))
		l, err := net.Listen("tcp", address)
		if err != nil {
			return false
		}
		_ = l.Close()
		u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
		if err != nil {
			return false
		}
		_ = u.Close()
	}
	return true
}
