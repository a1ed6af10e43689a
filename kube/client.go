package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"
)

// client makes clients of the kinds of objects that podlane-kube uses. Its scheme knows the group core/v1 alone. The typed
// clients of client-go know all groups: that costs 15 MB of memory on every node.
type client struct {
	rest  rest.Interface
	codec runtime.ParameterCodec
}

// newClient returns a client of the API server. It receives protobuf, if the API server has it, and sends JSON.
func newClient(config *rest.Config) (*client, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("make a client of the API server: %w", err)
	}
	c := rest.CopyConfig(config)
	c.APIPath, c.GroupVersion = "/api", &corev1.SchemeGroupVersion
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c.AcceptContentTypes, c.ContentType = "application/vnd.kubernetes.protobuf,application/json", "application/json"
	r, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("make a client of the API server: %w", err)
	}
	return &client{r, runtime.NewParameterCodec(scheme)}, nil
}

// nodes returns a client of the cluster's Nodes.
func (c *client) nodes() *gentype.ClientWithList[*corev1.Node, *corev1.NodeList] {
	return gentype.NewClientWithList("nodes", c.rest, c.codec, metav1.NamespaceNone,
		func() *corev1.Node { return &corev1.Node{} }, func() *corev1.NodeList { return &corev1.NodeList{} })
}

// events returns a client of the Events of objects without a namespace.
func (c *client) events() *gentype.Client[*corev1.Event] {
	return gentype.NewClient("events", c.rest, c.codec, eventNamespace, func() *corev1.Event { return &corev1.Event{} })
}

// configMap returns a ConfigMap.
func (c *client) configMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	client := gentype.NewClient("configmaps", c.rest, c.codec, namespace, func() *corev1.ConfigMap { return &corev1.ConfigMap{} })
	return client.Get(ctx, name, metav1.GetOptions{})
}
