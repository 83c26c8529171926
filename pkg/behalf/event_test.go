package behalf_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// The fast way of encoding gives what the slow one does, whatever the user is called.
func FuzzAppendJSON(f *testing.F) {
	f.Add("", int64(0), "", false)
	f.Add("abc-123", int64(1764000000123456789), "apn_1", true)
	f.Add("\"\\\u2028\u202e<é>\U0001F600", int64(-1), "", true)
	f.Add("\xff", int64(1764000000000000000), "apn_1", false)
	f.Fuzz(func(t *testing.T, user string, nanos int64, account string, waits bool) {
		run := behalf.NewRunID()
		e := behalf.Event{
			V: behalf.FormatVersion, ID: run.Event(), Run: run, Project: "proj_a", Environment: behalf.Development, Workflow: "p_b",
			Version: "d_c", Lane: behalf.Shared, User: behalf.ExternalUserID(user), At: time.Unix(0, nanos).UTC(),
			Origin:  behalf.Origin{Endpoint: "enx", Client: "oac_y", Waits: waits, ResultHash: user},
			Trigger: json.RawMessage(`{"a":[1,"b"]}`),
		}
		if account != "" {
			e.Origin.Accounts = map[behalf.AppSlug]behalf.AccountID{"slack": behalf.AccountID(account)}
		}
		if e.Origin.NoStore = nanos < 0; e.Origin.NoStore {
			e.Files = []string{"AAEC", user}
		}
		if waits && user == "" {
			e.Trigger = nil
			e.TriggerRef = &behalf.ObjectRef{Object: "obj_1", SHA256: account, Size: int(nanos), Parked: nanos < 0}
		}
		want, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(e.AppendJSON([]byte("before "))); got != "before "+string(want) {
			t.Errorf("got  %s\nwant %s", strings.TrimPrefix(got, "before "), want)
		}
	})
}
