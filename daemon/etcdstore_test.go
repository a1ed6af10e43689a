package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/podlane/podlane/settings"
	"github.com/podlane/podlane/subnet/etcd"
)

func TestErrorsOfEtcdAreExplained(t *testing.T) {
	c := config{etcd: settings.Etcd{Prefix: "/p"}}
	for _, x := range []struct {
		err  error
		want string
	}{
		{etcd.ErrNoConfig, "/p/config: " + etcd.ErrNoConfig.Error()},
		{fmt.Errorf("/p/config: %w", etcd.ErrNoConfig), "/p/config: " + etcd.ErrNoConfig.Error()},
		{fmt.Errorf("%w: VNI", etcd.ErrConfig), "/p/config: " + etcd.ErrConfig.Error() + ": VNI; correct it with `podlaned config set FILE`"},
		{etcd.ErrDenied, etcd.ErrDenied.Error() + "; see the settings etcd-username and etcd-password-file"},
		{fmt.Errorf("write /p/x: %w: %w", etcd.ErrDenied, etcd.ErrPermission), "write /p/x: etcd denies access: permission denied; " +
			"give the user's role both rights with `etcdctl role grant-permission ROLE --prefix=true readwrite /p/`, or see the settings etcd-username and etcd-password-file"},
		{etcd.ErrNoSpace, etcd.ErrNoSpace.Error() + "; make room with `etcdctl compact REVISION` and `etcdctl defrag`, " +
			"or give etcd a larger --quota-backend-bytes, then run `etcdctl alarm disarm`"},
		{etcd.ErrCorrupt, etcd.ErrCorrupt.Error() + "; `etcdctl alarm list` names the member: replace it, then run `etcdctl alarm disarm`"},
		{errors.New("other"), "other"},
	} {
		if got := explain(c, x.err); got.Error() != x.want || !errors.Is(got, x.err) {
			t.Errorf("%q, want %q", got, x.want)
		}
	}
	if err := explain(c, nil); err != nil {
		t.Errorf("no error: %v", err)
	}
}
