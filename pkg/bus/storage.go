package bus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Bytes is an amount of storage.
type Bytes int64

// NATS reserves the max_bytes of a stream when the stream is made, full or empty, and refuses what goes beyond the
// account's limit or the server's max_file_store. That is three quarters of the free disk where nobody has set it, and
// what the streams without a limit hold counts towards it as well: so no default takes more than half of it.
const (
	// MinStorage is the least that the streams of one environment can share.
	MinStorage Bytes = 64 << 20
	// ModestStorage is what they share where nobody has said how much and no limit can be read.
	ModestStorage Bytes = 2 << 30
	// mostByDefault is what they share where the account may store a lot.
	mostByDefault Bytes = 32 << 30
)

// ParseBytes reads an amount such as 512MiB, 8GiB or 8G, which are powers of 1024, or 8GB, which is of 1000. Errors:
// Invalid.
func ParseBytes(text string) (Bytes, error) {
	number := strings.TrimRightFunc(text, unicode.IsLetter)
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	n *= factor(strings.ToUpper(text[len(number):]))
	if err != nil || !(n >= 1 && n <= math.MaxInt64/2) {
		return 0, fault.Newf(fault.Invalid, "bus.ParseBytes", "an amount of storage is written as 512MiB or 8GiB, not %q", text)
	}
	return Bytes(n), nil
}

// factor of a unit; 0 where there is no such.
func factor(unit string) float64 {
	if unit == "" || unit == "B" {
		return 1
	}
	power := float64(strings.IndexByte("KMGT", unit[0]) + 1)
	switch {
	case power == 0:
		return 0
	case unit[1:] == "" || unit[1:] == "IB":
		return math.Pow(1024, power)
	case unit[1:] == "B":
		return math.Pow(1000, power)
	}
	return 0
}

// String writes it with at most one digit after the point.
func (b Bytes) String() string {
	n, unit := float64(b), 0
	for n >= 1024 && unit < 4 {
		n, unit = n/1024, unit+1
	}
	return strconv.FormatFloat(math.Round(n*10)/10, 'f', -1, 64) + " " + [...]string{"bytes", "KiB", "MiB", "GiB", "TiB"}[unit]
}

// NoRoom says that NATS refused a stream, bucket or object store for want of storage.
func NoRoom(err error) bool {
	const storageExceeded, noPeers = 10047, 10005 // of a single server, and of a cluster
	var e *jetstream.APIError
	if !errors.As(err, &e) {
		return false
	}
	return e.ErrorCode == storageExceeded || e.ErrorCode == noPeers && strings.Contains(e.Description, "insufficient storage")
}

// room is what an account may reserve, of which a part is reserved already. A limit of zero is not known.
type room struct{ limit, reserved Bytes }

// roomOf asks the account. It has a limit for each number of replicas, or one for all of them together.
func roomOf(ctx context.Context, js jetstream.JetStream, replicas int) room {
	info, err := js.AccountInfo(ctx)
	if err != nil { // whoever may not ask gets by with modest defaults
		return room{}
	}
	tier, divisor := info.Tier, replicas
	if own, ok := info.Tiers["R"+strconv.Itoa(replicas)]; ok {
		tier, divisor = own, 1
	}
	return room{
		limit:    Bytes(max(0, tier.Limits.MaxStore)) / Bytes(divisor),
		reserved: Bytes(min(tier.ReservedStore, math.MaxInt64)),
	}
}

// share is what an environment takes where nobody has said how much: half of its account.
func (r room) share() Bytes {
	if r.limit == 0 {
		return ModestStorage
	}
	return max(MinStorage, min(mostByDefault, r.limit/2))
}

func (r room) String() string {
	if r.limit == 0 {
		return fmt.Sprintf("its account has no limit, so the server's max_file_store has less left (it is three quarters of the free disk unless set); the account has reserved %s of it", r.reserved)
	}
	return fmt.Sprintf("its account may reserve %s for each replica, and has reserved %s", r.limit, r.reserved)
}

// Refused is the error of what NATS did not make in an environment whose streams were to share so much. Errors:
// Exhausted, for want of storage; else Unavailable.
func Refused(ctx context.Context, js jetstream.JetStream, env behalf.Environment, layout Layout, what string, err error) error {
	if !NoRoom(err) {
		return fault.Wrap(fault.Unavailable, "bus.Provision", fmt.Errorf("%s: %w", what, err))
	}
	has := roomOf(ctx, js, max(1, layout.Replicas))
	wanted := layout.Storage
	for _, otherwise := range []Bytes{layout.DefaultStorage, has.share()} {
		if wanted == 0 {
			wanted = otherwise
		}
	}
	return fault.Newf(fault.Exhausted, "bus.Provision", "NATS has too little storage for %s: the streams of %s want %s together, and %s",
		what, env, wanted, has).Because(err)
}
