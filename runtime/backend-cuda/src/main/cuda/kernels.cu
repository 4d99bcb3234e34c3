// All kernels of the CUDA device, compiled to one fat binary.
#include "attention.cuh"
#include "kv.cuh"
#include "pointwise.cuh"
#include "prefill.cuh"
#include "select.cuh"
#include "window.cuh"

// Java writes these sizes; dev.kvdrive.cuda.Arguments and CudaOperations have the same numbers.
static_assert(sizeof(Rows) == 16, "Rows");
static_assert(sizeof(Layer) == 128, "Layer");
static_assert(sizeof(Batch) == 24, "Batch");
static_assert(sizeof(Chosen) == 72, "Chosen");
static_assert(sizeof(EmbedArgs) == 56, "EmbedArgs");
static_assert(sizeof(NormArgs) == 48, "NormArgs");
static_assert(sizeof(BiasArgs) == 32, "BiasArgs");
static_assert(sizeof(AddArgs) == 40, "AddArgs");
static_assert(sizeof(AnglesArgs) == 32 + 4 * MAX_PAIRS, "AnglesArgs");
static_assert(sizeof(RotateArgs) == 40, "RotateArgs");
static_assert(sizeof(SiluArgs) == 56, "SiluArgs");
static_assert(sizeof(ArgmaxArgs) == 32, "ArgmaxArgs");
static_assert(sizeof(MultiplyArgs) == 64, "MultiplyArgs");
static_assert(sizeof(AppendArgs) == 208, "AppendArgs");
static_assert(sizeof(ScratchArgs) == 200, "ScratchArgs");
static_assert(sizeof(ResetArgs) == 136, "ResetArgs");
static_assert(sizeof(ScoreArgs) == 264, "ScoreArgs");
static_assert(sizeof(DiffArgs) == 232, "DiffArgs");
static_assert(sizeof(FetchArgs) == 264, "FetchArgs");
static_assert(sizeof(AttendArgs) == 280, "AttendArgs");
static_assert(sizeof(CausalArgs) == 192, "CausalArgs");
