package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// listNodes lists the Nodes, and calls each with every Node in turn. It never holds the whole answer: with 1,000 Nodes it has
// 12 MB, and the client would need 60 MB to decode it. A truncated answer is an error.
func (c *client) listNodes(ctx context.Context, opts metav1.ListOptions, each func(*corev1.Node)) (metav1.ListMeta, error) {
	body, err := c.rest.Get().Resource("nodes").VersionedParams(&opts, c.codec).SetHeader("Accept", "application/json").Stream(ctx)
	if err != nil {
		return metav1.ListMeta{}, err
	}
	defer body.Close()
	list, err := decodeNodes(body, each)
	if err != nil {
		return metav1.ListMeta{}, fmt.Errorf("read the list of Nodes: %w", err)
	}
	return list, nil
}

// leanNode has the fields of a Node that podlane-kube uses.
type leanNode struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		PodCIDR  string   `json:"podCIDR"`
		PodCIDRs []string `json:"podCIDRs"`
	} `json:"spec"`
}

// decodeNodes reads a NodeList in JSON, one Node at a time.
func decodeNodes(r io.Reader, each func(*corev1.Node)) (list metav1.ListMeta, err error) {
	d := json.NewDecoder(r)
	if err := expect(d, json.Delim('{')); err != nil {
		return list, err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return list, err
		}
		switch key {
		case "metadata":
			err = d.Decode(&list)
		case "items":
			err = decodeItems(d, each)
		default:
			err = d.Decode(&json.RawMessage{})
		}
		if err != nil {
			return list, err
		}
	}
	if err := expect(d, json.Delim('}')); err != nil {
		return list, err
	}
	if list.ResourceVersion == "" {
		return list, errors.New("the answer is not a list")
	}
	return list, nil
}

func decodeItems(d *json.Decoder, each func(*corev1.Node)) error {
	if err := expect(d, json.Delim('[')); err != nil {
		return err
	}
	for d.More() {
		var lean leanNode
		if err := d.Decode(&lean); err != nil {
			return err
		}
		each(&corev1.Node{ObjectMeta: lean.ObjectMeta, Spec: corev1.NodeSpec{PodCIDR: lean.Spec.PodCIDR, PodCIDRs: lean.Spec.PodCIDRs}})
	}
	return expect(d, json.Delim(']'))
}

// expect reads one token. Any other token is an error.
func expect(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case got != want:
		return fmt.Errorf("unexpected %v in place of %v", got, want)
	}
	return nil
}
