package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

// password is the user's password. The etcd client uses the one from its start; here each call that asks for a token gets
// the newest.
type password struct {
	file *file[string]

	mu       sync.Mutex
	accepted string // the last one that etcd accepted
}

// password reads the password file. It returns nil without a user.
func (fs *files) password(cfg Config) (*password, error) {
	if (cfg.Username == "") != (cfg.PasswordFile == "") {
		return nil, errors.New("a user name needs a password, and a password needs a user name: one of them is missing")
	}
	if cfg.Username == "" {
		return nil, nil
	}
	f, err := openFile(cfg.loadPassword)
	if err != nil {
		return nil, err
	}
	*fs = append(*fs, f)
	return &password{file: f}, nil
}

func (cfg Config) loadPassword() (string, error) {
	data, err := os.ReadFile(cfg.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", fmt.Errorf("password file %s is empty", cfg.PasswordFile)
	}
	return text, nil
}

// intercept sets the password in the calls that ask for a token. If etcd refuses the newest one, it tries the one that etcd
// accepted last: the file may be changed before the user in etcd is.
func (p *password) intercept(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ask, ok := req.(*pb.AuthenticateRequest)
	if !ok {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	try := func(text string) error {
		err := invoke(ctx, method, &pb.AuthenticateRequest{Name: ask.GetName(), Password: text}, reply, cc, opts...)
		if err == nil {
			p.accept(text)
		}
		return err
	}
	newest, before := p.file.content(), p.lastAccepted()
	err := try(newest)
	if errors.Is(rpctypes.Error(err), rpctypes.ErrAuthFailed) && before != "" && before != newest && try(before) == nil {
		return nil
	}
	return err
}

func (p *password) accept(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accepted = text
}

func (p *password) lastAccepted() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}
