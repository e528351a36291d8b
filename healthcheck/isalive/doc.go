// Package isalive is the is_alive page as it is written and read: by brokers and balancers that
// answer it, and by probes that ask for it. It imports nothing of ours.
//
// The page (AL1, AL5): GET /index.pl?action=is_alive (the old name action=cb_status is the same)
// gives 200 and CB_IS_OKAY while new work is welcome, 503 and CB_IS_BUSY while it is not, and a
// closed connection when nothing at all can serve. Load and mode travel in X-Broker headers.
//
// The listener (AL4): appliances send ECV strings with no HTTP version and no Host line, which a
// strict HTTP server must refuse. Listener answers exactly these probes before the server sees
// them:
//
//	GET <page> CRLF                     no version: decided by the first line alone
//	GET <page> HTTP/1.0 ... CRLF CRLF   decided at the end of the header block
//	GET <page> HTTP/1.1 ... CRLF CRLF   the same, and only without a Host line
//
// Invariants: every other connection reaches the server byte for byte and without delay (the
// decision needs no more bytes than a request for another path has in common with the page's);
// Accept never blocks on a client; at most 16 KB of a connection are held back; a request whose
// header block is odd in any way is the server's to refuse. A legacy probe ends its connection.
package isalive
