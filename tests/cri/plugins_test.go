package cri

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/podlane/podlane/tests/cluster"
)

// plugins returns a client of the CNI plugins on a machine, for commands that containerd 1.x never calls: STATUS and
// GC. cache is the folder of the runtime's attachments.
func (m *machine) plugins(t *testing.T, cache string) (*libcni.CNIConfig, *libcni.NetworkConfigList) {
	t.Helper()
	list, err := libcni.ConfListFromFile(conflist(m.Name))
	cluster.Check(t, err)
	return libcni.NewCNIConfigWithCacheDir([]string{"/opt/cni/bin"}, cache, pluginRunner{m}), list
}

// pluginRunner runs plugins on a machine, because their files are there.
type pluginRunner struct{ machine *machine }

var _ invoke.Exec = pluginRunner{}

func (r pluginRunner) ExecPlugin(ctx context.Context, path string, stdin []byte, environ []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path)
	cmd.Env, cmd.Stdin = environ, bytes.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout = &out
	err := r.machine.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	pluginErr := &types.Error{}
	if err != nil && json.Unmarshal(out.Bytes(), pluginErr) == nil {
		err = pluginErr
	}
	return out.Bytes(), err
}

func (pluginRunner) FindInPath(plugin string, folders []string) (string, error) {
	return folders[0] + "/" + plugin, nil
}

func (pluginRunner) Decode(data []byte) (version.PluginInfo, error) {
	return new(version.PluginDecoder).Decode(data)
}
