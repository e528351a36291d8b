package ldapserver

import "syscall"

// attributes make a program run as the owner; the server has its own group and ends with this process.
func (o *owner) attributes(server bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{}
	if o != nil {
		a.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid, Groups: []uint32{o.gid}}
	}
	if server {
		a.Setpgid, a.Pdeathsig = true, syscall.SIGTERM
	}
	return a
}
