"""The private DNS zone's data plane, for names that move: a forwarder on 127.0.0.1 in place of a resolver.

On AWS the service knows its database by a name, a CNAME record in a private zone of Route 53, and a cut-over
changes the record. No resolver of this machine knows that zone, and none is to be told. The record lives in
Route 53 on the automation plane all the same and is changed there; here, every *new* connection to
`127.0.0.1:<port>` goes to the host that the record names then, on the same port, since records carry none.
Connections that stand stay where they are until an end dies, as with DNS. The record's answer is remembered for
its TTL, at most `name_ttl_seconds`; if Route 53 cannot be asked, the last answer stands.
"""
