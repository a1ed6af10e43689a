package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// describe explains an error of a call to the API server, and what to do. what names the call, such as "list the Nodes".
func describe(what string, err error, now time.Time) error {
	if err == nil {
		return nil
	}
	unknownCA, wrongHost := x509.UnknownAuthorityError{}, x509.HostnameError{}
	invalid, notTLS := x509.CertificateInvalidError{}, tls.RecordHeaderError{}
	at := now.UTC().Format(time.RFC3339)
	switch {
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: the API server does not accept the credentials of podlane-kube (401): its token is wrong or has expired, or a clock is wrong; this node's clock shows %s", what, at)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: podlane-kube has no right to do that (403): apply the RBAC objects of podlane's manifest or chart, such as the ClusterRole podlane; the API server's answer: %w", what, err)
	case errors.As(err, &unknownCA):
		return fmt.Errorf("%s: podlane-kube's CA did not sign the API server's certificate: check the ConfigMap kube-root-ca.crt, or the CA in the file of --kubeconfig; %w", what, cause(err))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%s: the API server's certificate is not valid at this node's time, %s: renew it, or correct the clock; %w", what, at, cause(err))
	case errors.As(err, &wrongHost):
		return fmt.Errorf("%s: the API server's certificate is for another name: check the address in podlane-kube's credentials; %w", what, cause(err))
	case errors.As(err, &notTLS), errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s: the API server does not answer with TLS: check the port of its address; %w", what, cause(err))
	case errors.Is(err, context.DeadlineExceeded) && !isNetwork(err): // client-go waits for as long as an answer asks to (Retry-After)
		return fmt.Errorf("%s: the API server does not answer in time, or asks to wait", what)
	case isUnreachable(err):
		return fmt.Errorf("%s: the API server does not answer: %w", what, cause(err))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// isUnreachable reports whether an error means that the API server did not answer.
func isUnreachable(err error) bool {
	temporary := net.Error(nil)
	return isNetwork(err) || errors.As(err, &temporary) || errors.Is(err, context.DeadlineExceeded) ||
		utilnet.IsProbableEOF(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err)
}

// isNetwork reports whether a connection could not be made or broke.
func isNetwork(err error) bool {
	network := (*net.OpError)(nil)
	return errors.As(err, &network)
}

// cause returns an error of HTTP without its URL, which is long and different in each attempt.
func cause(err error) error {
	if call := (*url.Error)(nil); errors.As(err, &call) {
		return call.Err
	}
	return err
}
