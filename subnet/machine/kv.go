package machine

// The keys of a store, without its prefix. All other keys are ignored.
const (
	ConfigName = "config"   // the network configuration
	Leases     = "subnets/" // a lease each; the last part is subnet.Pair.Key
	claims     = "claims/"  // claims to the holders of leases, and answers (claim.go)
)

// KV is a key and its value.
type KV struct {
	Name     string // without the store's prefix
	Value    []byte
	Created  int64 // revision at which the key was created
	Modified int64 // revision at which it was last written, or deleted
	TTLID    int64 // id of the key's time to live: in etcd, of its etcd lease; 0: the key never expires
}

// Event is a write of a key, or its deletion.
type Event struct {
	KV
	Deleted bool // only Name and Modified are set
}

// Txn is a compare-and-swap. If each key in Compare has its revision, the store does all writes. Otherwise it returns the
// keys in Read.
type Txn struct {
	Compare []Compare
	Put     []KV // Name and Value
	Delete  []string
	Read    []string
}

// Compare is the revision that a key must have. 0: the key must not exist.
type Compare struct {
	Name     string
	Modified int64
}
