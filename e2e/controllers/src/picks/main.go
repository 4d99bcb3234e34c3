// Picks asks an endpoint picker where it would send requests, as a Gateway's proxy does: over Envoy's
// external processing protocol. It prints how many went to each address.
//
//	picks -picker HOST:PORT -model NAME -requests N
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"sort"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// The header in which a picker names the pod, by the inference extension's protocol.
const destination = "x-gateway-destination-endpoint"

func main() {
	picker := flag.String("picker", "127.0.0.1:9002", "address of the picker's gRPC server, without TLS")
	model := flag.String("model", "", "model that the requests name")
	requests := flag.Int("requests", 20, "how many requests to ask about")
	flag.Parse()
	connection, err := grpc.NewClient(*picker, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	client := extproc.NewExternalProcessorClient(connection)
	picked := map[string]int{}
	for i := range *requests {
		// No two prompts begin alike, so that only queue and room decide.
		address, err := pick(client, *model, fmt.Sprintf("%d: which pod is free? %s", i, time.Now()))
		if err != nil {
			log.Fatalf("request %d: %v", i, err)
		}
		picked[address]++
	}
	addresses := make([]string, 0, len(picked))
	for address := range picked {
		addresses = append(addresses, address)
	}
	sort.Strings(addresses)
	for _, address := range addresses {
		fmt.Println(address, picked[address])
	}
}

// pick sends one request's headers and body, and ends the stream once the picker has named a pod, so
// that the picker does not count the request as one that runs.
func pick(client extproc.ExternalProcessorClient, model, prompt string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stream, err := client.Process(ctx)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]any{"model": model, "prompt": prompt, "max_tokens": 1})
	if err != nil {
		return "", err
	}
	for _, request := range []*extproc.ProcessingRequest{
		{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{
			Headers: []*core.HeaderValue{
				{Key: ":method", RawValue: []byte("POST")},
				{Key: ":path", RawValue: []byte("/v1/completions")},
				{Key: "content-type", RawValue: []byte("application/json")},
			}}}}},
		{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: body, EndOfStream: true}}},
	} {
		if err := stream.Send(request); err != nil {
			return "", err
		}
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return "", fmt.Errorf("the picker named no pod: %w", err)
		}
		if refusal := response.GetImmediateResponse(); refusal != nil {
			return "", fmt.Errorf("the picker refuses: %v %s", refusal.GetStatus().GetCode(), refusal.GetBody())
		}
		for _, header := range response.GetRequestHeaders().GetResponse().GetHeaderMutation().GetSetHeaders() {
			if header.GetHeader().GetKey() == destination {
				return string(header.GetHeader().GetRawValue()), nil
			}
		}
	}
}
