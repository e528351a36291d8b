package gtm

import (
	"testing"
)

func TestGoodSubnet(t *testing.T) {
	f := func(what, option string, want bool) {
		t.Helper()
		if got := goodSubnet(unhex(t, option)); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	f("192.0.2.0/24", "00011800c00002", true)
	f("192.0.2.1/32", "00012000c0000201", true)
	f("10.0.0.0/7", "000107000a", true)
	f("0.0.0.0/0", "00010000", true)
	f("2001:db8::/32", "0002200020010db8", true)
	f("2001:db8::1/128", "0002800020010db8000000000000000000000001", true)
	f("family 0 and nothing, as dig +subnet=0", "00000000", true)
	f("nothing", "", false)
	f("cut off", "000118", false)
	f("family 3", "00031800c00002", false)
	f("family 0 with a prefix", "00000800ff", false)
	f("scope in a query", "00011818c00002", false)
	f("/33", "00012100c000020100", false)
	f("/129", "0002810020010db800000000000000000000000100", false)
	f("an octet too few", "00011800c000", false)
	f("an octet too many", "00011800c0000200", false)
	f("bits beyond the prefix", "000107000b", false)
}

func TestReadOptions(t *testing.T) {
	o := readOptions(unhex(t, "0003000161"+"000a0008"+"0102030405060708"+"000a0003ffffff"+"000b0000"+"fde900021234"))
	if o.fault || !o.nsid || !o.keepalive || o.badKeepalive || o.version || len(o.cookie) != 8 {
		t.Errorf("%+v", o)
	}
	for what, data := range map[string]string{
		"half a head":     "000a00",
		"longer than all": "000a000801",
		"cookie of 7":     "000a000701020304050607",
		"cookie of 9":     "000a0009010203040506070809",
		"cookie of 15":    "000a000f0102030405060708090a0b0c0d0e0f",
		"cookie of 41":    "000a00290102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627" + "2829",
		"two subnets":     "0008000400010000" + "0008000400010000",
	} {
		if o := readOptions(unhex(t, data)); !o.fault {
			t.Errorf("%s: no fault", what)
		}
	}
}
