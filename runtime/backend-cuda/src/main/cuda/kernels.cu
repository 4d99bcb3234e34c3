// All kernels of the CUDA device, compiled to one fat binary.
#include "attention.cuh"
#include "cluster.cuh"
#include "hopper.cuh"
#include "kv.cuh"
#include "pointwise.cuh"
#include "prefill.cuh"
#include "select.cuh"
#include "window.cuh"
