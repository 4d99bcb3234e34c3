// Gpus offers cards that do not exist to the kubelet, as a vendor's device plugin offers those that do:
// it registers itself, says which cards there are and how they are, and hands them out. A container
// that is given one finds its name in the environment and nothing else, so no driver is there.
//
//	gpus -resource NAME -cards FILE
//
// FILE has a card a line: its name, and "lost" after it for one that has failed. SIGHUP reads it again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	// Environment variable that names the cards a container was given.
	variable = "KVDRIVE_TEST_CARDS"
	// How often it is looked whether the kubelet has restarted, and how long it may take to answer.
	glance   = 500 * time.Millisecond
	patience = 5 * time.Second
)

// Cards are what a file says, and tell those who watch when it says something else.
type cards struct {
	api.UnimplementedDevicePluginServer

	mutex   sync.Mutex
	devices []*api.Device
	changed chan struct{}
}

func (c *cards) read(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var devices []*api.Device
	for number, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case len(words) == 1:
			devices = append(devices, &api.Device{ID: words[0], Health: api.Healthy})
		case len(words) == 2 && words[1] == "lost":
			devices = append(devices, &api.Device{ID: words[0], Health: api.Unhealthy})
		default:
			return fmt.Errorf("%s:%d: %q is not a card's name, or that and \"lost\"", file, number+1, line)
		}
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.devices = devices
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

func (c *cards) now() ([]*api.Device, <-chan struct{}) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.devices, c.changed
}

func (c *cards) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (c *cards) ListAndWatch(_ *api.Empty, stream grpc.ServerStreamingServer[api.ListAndWatchResponse]) error {
	for {
		devices, changed := c.now()
		if err := stream.Send(&api.ListAndWatchResponse{Devices: devices}); err != nil {
			return err
		}
		for _, card := range devices {
			log.Printf("offers %s: %s", card.ID, card.Health)
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (c *cards) Allocate(_ context.Context, asked *api.AllocateRequest) (*api.AllocateResponse, error) {
	given := &api.AllocateResponse{}
	for _, container := range asked.ContainerRequests {
		names := strings.Join(container.DevicesIds, ",")
		log.Printf("gives %s", names)
		given.ContainerResponses = append(given.ContainerResponses,
			&api.ContainerAllocateResponse{Envs: map[string]string{variable: names}})
	}
	return given, nil
}

// Serves at a socket beside the kubelet's, and tells the kubelet. It returns when the socket is gone:
// a kubelet that starts removes what lies there.
func (c *cards) serve(ctx context.Context, resource, name string) error {
	socket := filepath.Join(api.DevicePluginPath, name)
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	defer server.Stop() // which removes the socket
	api.RegisterDevicePluginServer(server, c)
	go func() { _ = server.Serve(listener) }()
	if err := register(ctx, resource, name); err != nil {
		return fmt.Errorf("the kubelet does not take the registration: %w", err)
	}
	log.Printf("registered %s", resource)
	for {
		if _, err := os.Stat(socket); err != nil {
			log.Printf("the kubelet has removed %s", socket)
			return nil
		}
		if !wait(ctx) {
			return ctx.Err()
		}
	}
}

func register(ctx context.Context, resource, name string) error {
	kubelet, err := grpc.NewClient("unix:"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer kubelet.Close()
	ctx, end := context.WithTimeout(ctx, patience)
	defer end()
	_, err = api.NewRegistrationClient(kubelet).Register(ctx,
		&api.RegisterRequest{Version: api.Version, Endpoint: name, ResourceName: resource})
	return err
}

func wait(ctx context.Context) bool {
	select {
	case <-time.After(glance):
		return true
	case <-ctx.Done():
		return false
	}
}

func main() {
	resource := flag.String("resource", "nvidia.com/gpu", "`name` of what is offered")
	file := flag.String("cards", "", "`file` that lists the cards")
	flag.Parse()
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	c := &cards{changed: make(chan struct{})}
	if err := c.read(*file); err != nil {
		log.Fatal(err)
	}
	go func() {
		for range again {
			if err := c.read(*file); err != nil {
				log.Printf("offers what it did: %v", err)
			}
		}
	}()
	ctx, end := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer end()
	name := "kvdrive-" + strings.NewReplacer("/", "_", ".", "_").Replace(*resource) + ".sock"
	for ctx.Err() == nil {
		if err := c.serve(ctx, *resource, name); err != nil && ctx.Err() == nil {
			log.Print(err)
			wait(ctx)
		}
	}
}
