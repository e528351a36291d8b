package gtm
import ("testing";"github.com/miekg/dns")
func TestProbeX(t *testing.T){
 z := `test. 300 SOA ns.test. h.test. 1 2 3 4 60
test. 300 NS ns.test.
ns.test. 300 A 192.0.2.1
*.w.test. 300 CNAME ns.test.
*.n.test. 300 NS ns.other.
*.d.test. 300 DNAME ns.test.
c.test. 300 CNAME sub.cut.test.
cut.test. 300 NS ns.cut.test.
ns.cut.test. 300 A 192.0.2.5
e.test. 300 CNAME gone.test.
d2.test. 300 DNAME gone.test.
a\.b.test. 300 A 192.0.2.9
k.test. 300 CNAME ns.test.
k.test. 300 NSEC l.test. CNAME
`
 tb := zoneTable(t, z)
 for _, q := range []struct{n string; ty uint16}{{"x.w.test.",dns.TypeA},{"x.w.test.",dns.TypeDS},{"x.n.test.",dns.TypeA},{"y.x.d.test.",dns.TypeA},{"c.test.",dns.TypeA},{"e.test.",dns.TypeA},{"q.d2.test.",dns.TypeA},{"A\\.b.test.",dns.TypeA},{"k.test.",dns.TypeNSEC},{"test.",dns.TypeDS},{"cut.test.",dns.TypeDS},{"cut.test.",dns.TypeANY},{"x.w.test.",dns.TypeANY}} {
  m := askPacket(t, tb, q.n, q.ty)
  t.Logf("== %s %s %s aa=%v\n%v %v %v", q.n, dns.TypeToString[q.ty], dns.RcodeToString[m.Rcode], m.Authoritative, m.Answer, m.Ns, m.Extra)
 }
}
