// Every kernel, copy and fill that a process ran on a GPU, in a file of comma-separated values: what a step's timeline is drawn from.
//
// The driver loads this library into any process whose environment says so, and CUPTI tells it when each kernel began and ended, those inside
// of graphs too. README.md beside it says how to build and use it.
#include <cupti.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace {

constexpr size_t BYTES = 8 << 20;

std::FILE* out = nullptr;
std::mutex guard;

void give(uint8_t** buffer, size_t* size, size_t* records) {
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(8, BYTES));
  *size = *buffer == nullptr ? 0 : BYTES;
  *records = 0;
}

void take(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid) {
  std::lock_guard<std::mutex> held(guard);
  CUpti_Activity* record = nullptr;
  while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
    if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
      const auto* k = reinterpret_cast<const CUpti_ActivityKernel10*>(record);
      std::fprintf(out, "%llu,%llu,%u,%u,%llu,%d,%d,%d,%d,%d,%s\n", (unsigned long long)k->start, (unsigned long long)k->end, k->streamId,
                   k->graphId, (unsigned long long)k->graphNodeId, k->gridX * k->gridY * k->gridZ, k->blockX * k->blockY * k->blockZ,
                   (int)k->registersPerThread, k->staticSharedMemory + k->dynamicSharedMemory, 0, k->name);
    } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
      const auto* k = reinterpret_cast<const CUpti_ActivityMemcpy6*>(record);
      std::fprintf(out, "%llu,%llu,%u,%u,%llu,0,0,0,0,%llu,copy\n", (unsigned long long)k->start, (unsigned long long)k->end, k->streamId,
                   k->graphId, (unsigned long long)k->graphNodeId, (unsigned long long)k->bytes);
    } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
      const auto* k = reinterpret_cast<const CUpti_ActivityMemset4*>(record);
      std::fprintf(out, "%llu,%llu,%u,%u,%llu,0,0,0,0,%llu,fill\n", (unsigned long long)k->start, (unsigned long long)k->end, k->streamId,
                   k->graphId, (unsigned long long)k->graphNodeId, (unsigned long long)k->bytes);
    }
  }
  std::fflush(out);
  std::free(buffer);
}

void finish() { cuptiActivityFlushAll(1); }

void must(CUptiResult result, const char* what) {
  if (result == CUPTI_SUCCESS) return;
  const char* why = nullptr;
  cuptiGetResultString(result, &why);
  std::fprintf(stderr, "timeline: %s: %s\n", what, why == nullptr ? "unknown" : why);
}

}  // namespace

extern "C" int InitializeInjection(void) {
  const char* path = std::getenv("TIMELINE_FILE");
  out = std::fopen(path == nullptr ? "timeline.csv" : path, "w");
  if (out == nullptr) {
    std::perror("timeline: TIMELINE_FILE");
    return 1;
  }
  std::fprintf(out, "start,end,stream,graph,node,blocks,threads,registers,shared,bytes,name\n");
  must(cuptiActivityRegisterCallbacks(give, take), "callbacks");
  must(cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL), "kernels");
  must(cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMCPY), "copies");
  must(cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMSET), "fills");
  must(cuptiActivityFlushPeriod(500), "flushing every half second");
  std::atexit(finish);
  return 1;
}
