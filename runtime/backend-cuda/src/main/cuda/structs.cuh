// Generated from dev.kvdrive.cuda.Structs and Constants; StructHeaderTest says how. Do not edit.
#pragma once

#include <cuda_bf16.h>
#include <stddef.h>
#include <stdint.h>

typedef __nv_bfloat16 bf16;
struct Round;
struct BitWeights;

#define WARP 32
#define MAX_HEAD_DIM 256
#define MAX_CHUNK 8
#define MAX_PAIRS 256
#define STATE_PARTS 65
#define SMALLEST_KEY 0x1.0p-100f
#define CODES_OF_WORD 16
#define CODE_MOST 127
#define SMALLEST_ROW 0x1.0p-100f
#define LEAST_OF 4
#define BITS_OF_WORD 32
#define MAX_PLANES 3
#define SCORE_WARPS 8
#define SCORE_TILE 256
#define SCORE_QUERIES 8
#define WEIGH_THREADS 1024
#define WEIGH_QUERIES 2
#define WEIGHT_MOST 32639
#define BIT_WORDS 24
#define BIT_WEIGHTS_BYTES 12352
#define SMALLEST_SUM 0x1.0p-80f
#define SHARE_THREADS 256
#define SHARE_TILE 1024
#define SELECT_THREADS 1024
#define RADIX_BINS 2048
#define DIFF_THREADS 512
#define USES_MOST 65535
#define USES_OFTEN 0x1.0p-1f
#define USES_LONG_AGO 0x1.0p-2f
#define FETCH_THREADS 256
#define FETCH_CELLS 1024
#define CHOOSE_THREADS 1024
#define SAMPLING_BYTES 32
#define SAMPLING_TEMPERATURE 0
#define SAMPLING_TOP_K 4
#define SAMPLING_TOP_P 8
#define SAMPLING_MIN_P 12
#define SAMPLING_DRAW 16
#define SAMPLING_WHOLE 1099511627776ull
#define ATTEND_WARPS 4
#define STAGED_TOKENS 8
#define STAGES 3
#define STAGED_LIST 128
#define ATTEND_QUERIES 8
#define FINISH_THREADS 256
#define CAUSAL_QUERIES 32
#define CAUSAL_KEYS 32
#define CAUSAL_LANES 8
#define TILE_WARPS 4
#define TILE_KEYS 64
#define WIDE_KEYS 128
#define WIDE_STAGES 2
#define CLUSTER_TOKENS 64
#define CLUSTER_TILE 64
#define CLUSTER_LANES 16
#define CLUSTER_DEPTH 32
#define CLUSTER_THREADS 256
#define CLUSTER_GROUP 32
#define MOST_COUNTED 65535
#define STEP_SHIFT 20
#define STEP_BIAS 856
#define ELEMENT_STEPS 7.5f
#define LARGEST_ELEMENT 127
#define ESTIMATE_TILE 1024
#define ATTEND_DENSE 0
#define ATTEND_HITS 1
#define ATTEND_MISSES 2
#define ATTEND_REST 3
#define PACKED_ROWS 16
#define PACKED_BLOCK 32
#define PACKED_SLICES 16
#define PACKED_WARPS 16
#define WIDEN_WARPS 8
#define WIDEN_BLOCKS 32
#define TROUBLE_TOKEN 1
#define TROUBLE_FRAME 2
#define MAIL_COUNT 0
#define MAIL_ROUND 1
#define MAIL_STOPPED 2
#define MAIL_SERVED 16
#define MAIL_REQUESTS_AT 32
#define MAIL_REQUEST_WORDS 6
#define MAIL_DELIVERED 1
#define AGE_CLASSES 24
#define AGE_NEVER 23
#define COUNTERS 5
#define HITS_COUNTER 0
#define DRAM_COUNTER 1
#define NVME_COUNTER 2
#define FAULT_COUNTER 3
#define PREFETCHED_COUNTER 4

struct Rows {
  bf16* data;
  int64_t stride;
};
static_assert(offsetof(Rows, data) == 0, "Rows.data");
static_assert(offsetof(Rows, stride) == 8, "Rows.stride");
static_assert(sizeof(Rows) == 16, "Rows");

struct Layer {
  char* dense;
  char* summaries;
  const char* codebooks;
  char* window;
  const int* slotBase;
  const int* slotTable;
  int* slotOfChunk;
  int* chunkOfSlot;
  float* keyOfSlot;
  int* usesOfSlot;
  int* frameOfExtent;
  int* lastUse;
  char* clusters;
  uint16_t* clusterOfMember;
  int* clustered;
  float* clusterBases;
  int64_t extentBytes;
  int layer;
  int kvHeads;
  int headDim;
  int elementBytes;
  int backingElementBytes;
  int backingHalf;
  int residentElementBytes;
  int residentHalf;
  int maxChunks;
  int maxExtents;
  int sink;
  int local;
  int chunk;
  int extentChunks;
  int bits;
  int summaryBytes;
  int summaryChunks;
  int maxSummaries;
  int clusterTokens;
  int maxClusters;
  int clusterRows;
  int nibbles;
};
static_assert(offsetof(Layer, dense) == 0, "Layer.dense");
static_assert(offsetof(Layer, summaries) == 8, "Layer.summaries");
static_assert(offsetof(Layer, codebooks) == 16, "Layer.codebooks");
static_assert(offsetof(Layer, window) == 24, "Layer.window");
static_assert(offsetof(Layer, slotBase) == 32, "Layer.slotBase");
static_assert(offsetof(Layer, slotTable) == 40, "Layer.slotTable");
static_assert(offsetof(Layer, slotOfChunk) == 48, "Layer.slotOfChunk");
static_assert(offsetof(Layer, chunkOfSlot) == 56, "Layer.chunkOfSlot");
static_assert(offsetof(Layer, keyOfSlot) == 64, "Layer.keyOfSlot");
static_assert(offsetof(Layer, usesOfSlot) == 72, "Layer.usesOfSlot");
static_assert(offsetof(Layer, frameOfExtent) == 80, "Layer.frameOfExtent");
static_assert(offsetof(Layer, lastUse) == 88, "Layer.lastUse");
static_assert(offsetof(Layer, clusters) == 96, "Layer.clusters");
static_assert(offsetof(Layer, clusterOfMember) == 104, "Layer.clusterOfMember");
static_assert(offsetof(Layer, clustered) == 112, "Layer.clustered");
static_assert(offsetof(Layer, clusterBases) == 120, "Layer.clusterBases");
static_assert(offsetof(Layer, extentBytes) == 128, "Layer.extentBytes");
static_assert(offsetof(Layer, layer) == 136, "Layer.layer");
static_assert(offsetof(Layer, kvHeads) == 140, "Layer.kvHeads");
static_assert(offsetof(Layer, headDim) == 144, "Layer.headDim");
static_assert(offsetof(Layer, elementBytes) == 148, "Layer.elementBytes");
static_assert(offsetof(Layer, backingElementBytes) == 152, "Layer.backingElementBytes");
static_assert(offsetof(Layer, backingHalf) == 156, "Layer.backingHalf");
static_assert(offsetof(Layer, residentElementBytes) == 160, "Layer.residentElementBytes");
static_assert(offsetof(Layer, residentHalf) == 164, "Layer.residentHalf");
static_assert(offsetof(Layer, maxChunks) == 168, "Layer.maxChunks");
static_assert(offsetof(Layer, maxExtents) == 172, "Layer.maxExtents");
static_assert(offsetof(Layer, sink) == 176, "Layer.sink");
static_assert(offsetof(Layer, local) == 180, "Layer.local");
static_assert(offsetof(Layer, chunk) == 184, "Layer.chunk");
static_assert(offsetof(Layer, extentChunks) == 188, "Layer.extentChunks");
static_assert(offsetof(Layer, bits) == 192, "Layer.bits");
static_assert(offsetof(Layer, summaryBytes) == 196, "Layer.summaryBytes");
static_assert(offsetof(Layer, summaryChunks) == 200, "Layer.summaryChunks");
static_assert(offsetof(Layer, maxSummaries) == 204, "Layer.maxSummaries");
static_assert(offsetof(Layer, clusterTokens) == 208, "Layer.clusterTokens");
static_assert(offsetof(Layer, maxClusters) == 212, "Layer.maxClusters");
static_assert(offsetof(Layer, clusterRows) == 216, "Layer.clusterRows");
static_assert(offsetof(Layer, nibbles) == 220, "Layer.nibbles");
static_assert(sizeof(Layer) == 224, "Layer");

struct Batch {
  const int* positions;
  const int* seats;
  const int* selectCounts;
  const float* mayMiss;
};
static_assert(offsetof(Batch, positions) == 0, "Batch.positions");
static_assert(offsetof(Batch, seats) == 8, "Batch.seats");
static_assert(offsetof(Batch, selectCounts) == 16, "Batch.selectCounts");
static_assert(offsetof(Batch, mayMiss) == 24, "Batch.mayMiss");
static_assert(sizeof(Batch) == 32, "Batch");

struct Chosen {
  float* scores;
  int* selected;
  int* selectedCount;
  int* slots;
  int* misses;
  int* missCount;
  int* counters;
  int maxRows;
  int maxChunks;
  int maxSelected;
  int passChunks;
};
static_assert(offsetof(Chosen, scores) == 0, "Chosen.scores");
static_assert(offsetof(Chosen, selected) == 8, "Chosen.selected");
static_assert(offsetof(Chosen, selectedCount) == 16, "Chosen.selectedCount");
static_assert(offsetof(Chosen, slots) == 24, "Chosen.slots");
static_assert(offsetof(Chosen, misses) == 32, "Chosen.misses");
static_assert(offsetof(Chosen, missCount) == 40, "Chosen.missCount");
static_assert(offsetof(Chosen, counters) == 48, "Chosen.counters");
static_assert(offsetof(Chosen, maxRows) == 56, "Chosen.maxRows");
static_assert(offsetof(Chosen, maxChunks) == 60, "Chosen.maxChunks");
static_assert(offsetof(Chosen, maxSelected) == 64, "Chosen.maxSelected");
static_assert(offsetof(Chosen, passChunks) == 68, "Chosen.passChunks");
static_assert(sizeof(Chosen) == 72, "Chosen");

struct EmbedArgs {
  const void* table;
  const int* tokens;
  uint4* trouble;
  Rows out;
  int tableRows;
  int cols;
  int tableBits;
  int firstRow;
  int allRows;
  float factor;
};
static_assert(offsetof(EmbedArgs, table) == 0, "EmbedArgs.table");
static_assert(offsetof(EmbedArgs, tokens) == 8, "EmbedArgs.tokens");
static_assert(offsetof(EmbedArgs, trouble) == 16, "EmbedArgs.trouble");
static_assert(offsetof(EmbedArgs, out) == 24, "EmbedArgs.out");
static_assert(offsetof(EmbedArgs, tableRows) == 40, "EmbedArgs.tableRows");
static_assert(offsetof(EmbedArgs, cols) == 44, "EmbedArgs.cols");
static_assert(offsetof(EmbedArgs, tableBits) == 48, "EmbedArgs.tableBits");
static_assert(offsetof(EmbedArgs, firstRow) == 52, "EmbedArgs.firstRow");
static_assert(offsetof(EmbedArgs, allRows) == 56, "EmbedArgs.allRows");
static_assert(offsetof(EmbedArgs, factor) == 60, "EmbedArgs.factor");
static_assert(sizeof(EmbedArgs) == 64, "EmbedArgs");

struct NormArgs {
  Rows in;
  Rows out;
  const float* gain;
  int width;
  float epsilon;
};
static_assert(offsetof(NormArgs, in) == 0, "NormArgs.in");
static_assert(offsetof(NormArgs, out) == 16, "NormArgs.out");
static_assert(offsetof(NormArgs, gain) == 32, "NormArgs.gain");
static_assert(offsetof(NormArgs, width) == 40, "NormArgs.width");
static_assert(offsetof(NormArgs, epsilon) == 44, "NormArgs.epsilon");
static_assert(sizeof(NormArgs) == 48, "NormArgs");

struct BiasArgs {
  Rows x;
  const float* bias;
  int width;
};
static_assert(offsetof(BiasArgs, x) == 0, "BiasArgs.x");
static_assert(offsetof(BiasArgs, bias) == 16, "BiasArgs.bias");
static_assert(offsetof(BiasArgs, width) == 24, "BiasArgs.width");
static_assert(sizeof(BiasArgs) == 32, "BiasArgs");

struct AddArgs {
  Rows x;
  Rows out;
  int width;
};
static_assert(offsetof(AddArgs, x) == 0, "AddArgs.x");
static_assert(offsetof(AddArgs, out) == 16, "AddArgs.out");
static_assert(offsetof(AddArgs, width) == 32, "AddArgs.width");
static_assert(sizeof(AddArgs) == 40, "AddArgs");

struct AnglesArgs {
  const int* positions;
  float* out;
  int pairs;
  float magnitude;
  float growth;
  int period;
  float inverseFrequencies[256];
};
static_assert(offsetof(AnglesArgs, positions) == 0, "AnglesArgs.positions");
static_assert(offsetof(AnglesArgs, out) == 8, "AnglesArgs.out");
static_assert(offsetof(AnglesArgs, pairs) == 16, "AnglesArgs.pairs");
static_assert(offsetof(AnglesArgs, magnitude) == 20, "AnglesArgs.magnitude");
static_assert(offsetof(AnglesArgs, growth) == 24, "AnglesArgs.growth");
static_assert(offsetof(AnglesArgs, period) == 28, "AnglesArgs.period");
static_assert(offsetof(AnglesArgs, inverseFrequencies) == 32, "AnglesArgs.inverseFrequencies");
static_assert(sizeof(AnglesArgs) == 1056, "AnglesArgs");

struct RotateArgs {
  Rows x;
  const float* angles;
  int heads;
  int headDim;
  int pairs;
  int interleaved;
};
static_assert(offsetof(RotateArgs, x) == 0, "RotateArgs.x");
static_assert(offsetof(RotateArgs, angles) == 16, "RotateArgs.angles");
static_assert(offsetof(RotateArgs, heads) == 24, "RotateArgs.heads");
static_assert(offsetof(RotateArgs, headDim) == 28, "RotateArgs.headDim");
static_assert(offsetof(RotateArgs, pairs) == 32, "RotateArgs.pairs");
static_assert(offsetof(RotateArgs, interleaved) == 36, "RotateArgs.interleaved");
static_assert(sizeof(RotateArgs) == 40, "RotateArgs");

struct SiluArgs {
  Rows gate;
  Rows up;
  Rows out;
  int width;
};
static_assert(offsetof(SiluArgs, gate) == 0, "SiluArgs.gate");
static_assert(offsetof(SiluArgs, up) == 16, "SiluArgs.up");
static_assert(offsetof(SiluArgs, out) == 32, "SiluArgs.out");
static_assert(offsetof(SiluArgs, width) == 48, "SiluArgs.width");
static_assert(sizeof(SiluArgs) == 56, "SiluArgs");

struct ChooseArgs {
  const float* logits;
  int64_t stride;
  const char* sampling;
  int* out;
  int width;
};
static_assert(offsetof(ChooseArgs, logits) == 0, "ChooseArgs.logits");
static_assert(offsetof(ChooseArgs, stride) == 8, "ChooseArgs.stride");
static_assert(offsetof(ChooseArgs, sampling) == 16, "ChooseArgs.sampling");
static_assert(offsetof(ChooseArgs, out) == 24, "ChooseArgs.out");
static_assert(offsetof(ChooseArgs, width) == 32, "ChooseArgs.width");
static_assert(sizeof(ChooseArgs) == 40, "ChooseArgs");

struct MultiplyArgs {
  const void* weight;
  Rows in;
  char* out;
  int64_t outStride;
  int weightElementBytes;
  int outElementBytes;
  int outputs;
  int cols;
  int add;
};
static_assert(offsetof(MultiplyArgs, weight) == 0, "MultiplyArgs.weight");
static_assert(offsetof(MultiplyArgs, in) == 8, "MultiplyArgs.in");
static_assert(offsetof(MultiplyArgs, out) == 24, "MultiplyArgs.out");
static_assert(offsetof(MultiplyArgs, outStride) == 32, "MultiplyArgs.outStride");
static_assert(offsetof(MultiplyArgs, weightElementBytes) == 40, "MultiplyArgs.weightElementBytes");
static_assert(offsetof(MultiplyArgs, outElementBytes) == 44, "MultiplyArgs.outElementBytes");
static_assert(offsetof(MultiplyArgs, outputs) == 48, "MultiplyArgs.outputs");
static_assert(offsetof(MultiplyArgs, cols) == 52, "MultiplyArgs.cols");
static_assert(offsetof(MultiplyArgs, add) == 56, "MultiplyArgs.add");
static_assert(sizeof(MultiplyArgs) == 64, "MultiplyArgs");

struct PackedArgs {
  const char* weight;
  Rows in;
  char* out;
  int64_t outStride;
  int outElementBytes;
  int outputs;
  int cols;
  int rows;
  int add;
  int ahead;
};
static_assert(offsetof(PackedArgs, weight) == 0, "PackedArgs.weight");
static_assert(offsetof(PackedArgs, in) == 8, "PackedArgs.in");
static_assert(offsetof(PackedArgs, out) == 24, "PackedArgs.out");
static_assert(offsetof(PackedArgs, outStride) == 32, "PackedArgs.outStride");
static_assert(offsetof(PackedArgs, outElementBytes) == 40, "PackedArgs.outElementBytes");
static_assert(offsetof(PackedArgs, outputs) == 44, "PackedArgs.outputs");
static_assert(offsetof(PackedArgs, cols) == 48, "PackedArgs.cols");
static_assert(offsetof(PackedArgs, rows) == 52, "PackedArgs.rows");
static_assert(offsetof(PackedArgs, add) == 56, "PackedArgs.add");
static_assert(offsetof(PackedArgs, ahead) == 60, "PackedArgs.ahead");
static_assert(sizeof(PackedArgs) == 64, "PackedArgs");

struct WidenArgs {
  const char* weight;
  bf16* out;
  int cols;
};
static_assert(offsetof(WidenArgs, weight) == 0, "WidenArgs.weight");
static_assert(offsetof(WidenArgs, out) == 8, "WidenArgs.out");
static_assert(offsetof(WidenArgs, cols) == 16, "WidenArgs.cols");
static_assert(sizeof(WidenArgs) == 24, "WidenArgs");

struct AppendArgs {
  Layer layer;
  Batch batch;
  Rows keys;
  Rows values;
  char* frames;
  uint4* trouble;
  int frameCount;
};
static_assert(offsetof(AppendArgs, layer) == 0, "AppendArgs.layer");
static_assert(offsetof(AppendArgs, batch) == 224, "AppendArgs.batch");
static_assert(offsetof(AppendArgs, keys) == 256, "AppendArgs.keys");
static_assert(offsetof(AppendArgs, values) == 272, "AppendArgs.values");
static_assert(offsetof(AppendArgs, frames) == 288, "AppendArgs.frames");
static_assert(offsetof(AppendArgs, trouble) == 296, "AppendArgs.trouble");
static_assert(offsetof(AppendArgs, frameCount) == 304, "AppendArgs.frameCount");
static_assert(sizeof(AppendArgs) == 312, "AppendArgs");

struct StoreArgs {
  Layer layer;
  Rows keys;
  Rows values;
  char* scratch;
  int maxTokens;
  int start;
  int closing;
};
static_assert(offsetof(StoreArgs, layer) == 0, "StoreArgs.layer");
static_assert(offsetof(StoreArgs, keys) == 224, "StoreArgs.keys");
static_assert(offsetof(StoreArgs, values) == 240, "StoreArgs.values");
static_assert(offsetof(StoreArgs, scratch) == 256, "StoreArgs.scratch");
static_assert(offsetof(StoreArgs, maxTokens) == 264, "StoreArgs.maxTokens");
static_assert(offsetof(StoreArgs, start) == 268, "StoreArgs.start");
static_assert(offsetof(StoreArgs, closing) == 272, "StoreArgs.closing");
static_assert(sizeof(StoreArgs) == 280, "StoreArgs");

struct PromptArgs {
  Layer layer;
  char* scratch;
  char* frames;
  uint4* trouble;
  int maxTokens;
  int start;
  int end;
  int seat;
  int frameCount;
};
static_assert(offsetof(PromptArgs, layer) == 0, "PromptArgs.layer");
static_assert(offsetof(PromptArgs, scratch) == 224, "PromptArgs.scratch");
static_assert(offsetof(PromptArgs, frames) == 232, "PromptArgs.frames");
static_assert(offsetof(PromptArgs, trouble) == 240, "PromptArgs.trouble");
static_assert(offsetof(PromptArgs, maxTokens) == 248, "PromptArgs.maxTokens");
static_assert(offsetof(PromptArgs, start) == 252, "PromptArgs.start");
static_assert(offsetof(PromptArgs, end) == 256, "PromptArgs.end");
static_assert(offsetof(PromptArgs, seat) == 260, "PromptArgs.seat");
static_assert(offsetof(PromptArgs, frameCount) == 264, "PromptArgs.frameCount");
static_assert(sizeof(PromptArgs) == 272, "PromptArgs");

struct ResetArgs {
  Layer layer;
  int seat;
};
static_assert(offsetof(ResetArgs, layer) == 0, "ResetArgs.layer");
static_assert(offsetof(ResetArgs, seat) == 224, "ResetArgs.seat");
static_assert(sizeof(ResetArgs) == 232, "ResetArgs");

struct PlaceArgs {
  int* frameOfExtent;
  const int2* changes;
  int count;
};
static_assert(offsetof(PlaceArgs, frameOfExtent) == 0, "PlaceArgs.frameOfExtent");
static_assert(offsetof(PlaceArgs, changes) == 8, "PlaceArgs.changes");
static_assert(offsetof(PlaceArgs, count) == 16, "PlaceArgs.count");
static_assert(sizeof(PlaceArgs) == 24, "PlaceArgs");

struct TrimArgs {
  Layer layer;
  const int* keep;
  int seat;
};
static_assert(offsetof(TrimArgs, layer) == 0, "TrimArgs.layer");
static_assert(offsetof(TrimArgs, keep) == 224, "TrimArgs.keep");
static_assert(offsetof(TrimArgs, seat) == 232, "TrimArgs.seat");
static_assert(sizeof(TrimArgs) == 240, "TrimArgs");

struct ObserveArgs {
  Layer layer;
  Batch batch;
  Chosen chosen;
  int* lastSelected;
  int* ages;
};
static_assert(offsetof(ObserveArgs, layer) == 0, "ObserveArgs.layer");
static_assert(offsetof(ObserveArgs, batch) == 224, "ObserveArgs.batch");
static_assert(offsetof(ObserveArgs, chosen) == 256, "ObserveArgs.chosen");
static_assert(offsetof(ObserveArgs, lastSelected) == 328, "ObserveArgs.lastSelected");
static_assert(offsetof(ObserveArgs, ages) == 336, "ObserveArgs.ages");
static_assert(sizeof(ObserveArgs) == 344, "ObserveArgs");

struct CreditArgs {
  Layer layer;
  Batch batch;
  Chosen chosen;
  int* marks;
  int pass;
};
static_assert(offsetof(CreditArgs, layer) == 0, "CreditArgs.layer");
static_assert(offsetof(CreditArgs, batch) == 224, "CreditArgs.batch");
static_assert(offsetof(CreditArgs, chosen) == 256, "CreditArgs.chosen");
static_assert(offsetof(CreditArgs, marks) == 328, "CreditArgs.marks");
static_assert(offsetof(CreditArgs, pass) == 336, "CreditArgs.pass");
static_assert(sizeof(CreditArgs) == 344, "CreditArgs");

struct StepArgs {
  Layer layer;
  Batch batch;
};
static_assert(offsetof(StepArgs, layer) == 0, "StepArgs.layer");
static_assert(offsetof(StepArgs, batch) == 224, "StepArgs.batch");
static_assert(sizeof(StepArgs) == 256, "StepArgs");

struct JoinArgs {
  Layer layer;
  Batch batch;
  int2* nearest;
  int* tickets;
  int tile;
};
static_assert(offsetof(JoinArgs, layer) == 0, "JoinArgs.layer");
static_assert(offsetof(JoinArgs, batch) == 224, "JoinArgs.batch");
static_assert(offsetof(JoinArgs, nearest) == 256, "JoinArgs.nearest");
static_assert(offsetof(JoinArgs, tickets) == 264, "JoinArgs.tickets");
static_assert(offsetof(JoinArgs, tile) == 272, "JoinArgs.tile");
static_assert(sizeof(JoinArgs) == 280, "JoinArgs");

struct ScoreArgs {
  Layer layer;
  Batch batch;
  Chosen chosen;
  Rows query;
  float* raw;
  float2* tiles;
  BitWeights* weights;
  int maxTiles;
  int heads;
  float scale;
  int firstRow;
  int shares;
  int times;
  const float* begun;
};
static_assert(offsetof(ScoreArgs, layer) == 0, "ScoreArgs.layer");
static_assert(offsetof(ScoreArgs, batch) == 224, "ScoreArgs.batch");
static_assert(offsetof(ScoreArgs, chosen) == 256, "ScoreArgs.chosen");
static_assert(offsetof(ScoreArgs, query) == 328, "ScoreArgs.query");
static_assert(offsetof(ScoreArgs, raw) == 344, "ScoreArgs.raw");
static_assert(offsetof(ScoreArgs, tiles) == 352, "ScoreArgs.tiles");
static_assert(offsetof(ScoreArgs, weights) == 360, "ScoreArgs.weights");
static_assert(offsetof(ScoreArgs, maxTiles) == 368, "ScoreArgs.maxTiles");
static_assert(offsetof(ScoreArgs, heads) == 372, "ScoreArgs.heads");
static_assert(offsetof(ScoreArgs, scale) == 376, "ScoreArgs.scale");
static_assert(offsetof(ScoreArgs, firstRow) == 380, "ScoreArgs.firstRow");
static_assert(offsetof(ScoreArgs, shares) == 384, "ScoreArgs.shares");
static_assert(offsetof(ScoreArgs, times) == 388, "ScoreArgs.times");
static_assert(offsetof(ScoreArgs, begun) == 392, "ScoreArgs.begun");
static_assert(sizeof(ScoreArgs) == 400, "ScoreArgs");

struct SelectArgs {
  Layer layer;
  Batch batch;
  Chosen chosen;
  int pass;
};
static_assert(offsetof(SelectArgs, layer) == 0, "SelectArgs.layer");
static_assert(offsetof(SelectArgs, batch) == 224, "SelectArgs.batch");
static_assert(offsetof(SelectArgs, chosen) == 256, "SelectArgs.chosen");
static_assert(offsetof(SelectArgs, pass) == 328, "SelectArgs.pass");
static_assert(sizeof(SelectArgs) == 336, "SelectArgs");

struct PinArgs {
  Layer layer;
  Batch batch;
  Chosen chosen;
  int cosineOffset;
  int of;
  int per;
};
static_assert(offsetof(PinArgs, layer) == 0, "PinArgs.layer");
static_assert(offsetof(PinArgs, batch) == 224, "PinArgs.batch");
static_assert(offsetof(PinArgs, chosen) == 256, "PinArgs.chosen");
static_assert(offsetof(PinArgs, cosineOffset) == 328, "PinArgs.cosineOffset");
static_assert(offsetof(PinArgs, of) == 332, "PinArgs.of");
static_assert(offsetof(PinArgs, per) == 336, "PinArgs.per");
static_assert(sizeof(PinArgs) == 344, "PinArgs");

struct KeyArgs {
  Layer layer;
  Batch batch;
  Chosen chosen;
  int uses;
};
static_assert(offsetof(KeyArgs, layer) == 0, "KeyArgs.layer");
static_assert(offsetof(KeyArgs, batch) == 224, "KeyArgs.batch");
static_assert(offsetof(KeyArgs, chosen) == 256, "KeyArgs.chosen");
static_assert(offsetof(KeyArgs, uses) == 328, "KeyArgs.uses");
static_assert(sizeof(KeyArgs) == 336, "KeyArgs");

struct ForgetArgs {
  Layer layer;
  Batch batch;
  Chosen chosen;
  int all;
};
static_assert(offsetof(ForgetArgs, layer) == 0, "ForgetArgs.layer");
static_assert(offsetof(ForgetArgs, batch) == 224, "ForgetArgs.batch");
static_assert(offsetof(ForgetArgs, chosen) == 256, "ForgetArgs.chosen");
static_assert(offsetof(ForgetArgs, all) == 328, "ForgetArgs.all");
static_assert(sizeof(ForgetArgs) == 336, "ForgetArgs");

struct ClusterArgs {
  Layer layer;
  char* scratch;
  float* centroids;
  float* biases;
  int maxTokens;
  int seat;
  int from;
  int to;
  int clusters;
  int firstCluster;
  int last;
};
static_assert(offsetof(ClusterArgs, layer) == 0, "ClusterArgs.layer");
static_assert(offsetof(ClusterArgs, scratch) == 224, "ClusterArgs.scratch");
static_assert(offsetof(ClusterArgs, centroids) == 232, "ClusterArgs.centroids");
static_assert(offsetof(ClusterArgs, biases) == 240, "ClusterArgs.biases");
static_assert(offsetof(ClusterArgs, maxTokens) == 248, "ClusterArgs.maxTokens");
static_assert(offsetof(ClusterArgs, seat) == 252, "ClusterArgs.seat");
static_assert(offsetof(ClusterArgs, from) == 256, "ClusterArgs.from");
static_assert(offsetof(ClusterArgs, to) == 260, "ClusterArgs.to");
static_assert(offsetof(ClusterArgs, clusters) == 264, "ClusterArgs.clusters");
static_assert(offsetof(ClusterArgs, firstCluster) == 268, "ClusterArgs.firstCluster");
static_assert(offsetof(ClusterArgs, last) == 272, "ClusterArgs.last");
static_assert(sizeof(ClusterArgs) == 280, "ClusterArgs");

struct FetchArgs {
  Layer layer;
  Batch batch;
  Chosen chosen;
  const char* frames;
  int* control;
  const char* transit;
  Round* round;
  int* marks;
  int rows;
  int pass;
  int timeoutMillis;
};
static_assert(offsetof(FetchArgs, layer) == 0, "FetchArgs.layer");
static_assert(offsetof(FetchArgs, batch) == 224, "FetchArgs.batch");
static_assert(offsetof(FetchArgs, chosen) == 256, "FetchArgs.chosen");
static_assert(offsetof(FetchArgs, frames) == 328, "FetchArgs.frames");
static_assert(offsetof(FetchArgs, control) == 336, "FetchArgs.control");
static_assert(offsetof(FetchArgs, transit) == 344, "FetchArgs.transit");
static_assert(offsetof(FetchArgs, round) == 352, "FetchArgs.round");
static_assert(offsetof(FetchArgs, marks) == 360, "FetchArgs.marks");
static_assert(offsetof(FetchArgs, rows) == 368, "FetchArgs.rows");
static_assert(offsetof(FetchArgs, pass) == 372, "FetchArgs.pass");
static_assert(offsetof(FetchArgs, timeoutMillis) == 376, "FetchArgs.timeoutMillis");
static_assert(sizeof(FetchArgs) == 384, "FetchArgs");

struct AttendArgs {
  Layer layer;
  Batch batch;
  Chosen chosen;
  Rows rows;
  float* state;
  int heads;
  int splits;
  int pass;
  int mode;
  int beside;
  float scale;
};
static_assert(offsetof(AttendArgs, layer) == 0, "AttendArgs.layer");
static_assert(offsetof(AttendArgs, batch) == 224, "AttendArgs.batch");
static_assert(offsetof(AttendArgs, chosen) == 256, "AttendArgs.chosen");
static_assert(offsetof(AttendArgs, rows) == 328, "AttendArgs.rows");
static_assert(offsetof(AttendArgs, state) == 344, "AttendArgs.state");
static_assert(offsetof(AttendArgs, heads) == 352, "AttendArgs.heads");
static_assert(offsetof(AttendArgs, splits) == 356, "AttendArgs.splits");
static_assert(offsetof(AttendArgs, pass) == 360, "AttendArgs.pass");
static_assert(offsetof(AttendArgs, mode) == 364, "AttendArgs.mode");
static_assert(offsetof(AttendArgs, beside) == 368, "AttendArgs.beside");
static_assert(offsetof(AttendArgs, scale) == 372, "AttendArgs.scale");
static_assert(sizeof(AttendArgs) == 376, "AttendArgs");

struct CausalArgs {
  alignas(64) char map[128];
  Layer layer;
  Rows query;
  Rows out;
  const char* scratch;
  int maxTokens;
  int heads;
  int start;
  int rows;
  float scale;
};
static_assert(offsetof(CausalArgs, map) == 0, "CausalArgs.map");
static_assert(offsetof(CausalArgs, layer) == 128, "CausalArgs.layer");
static_assert(offsetof(CausalArgs, query) == 352, "CausalArgs.query");
static_assert(offsetof(CausalArgs, out) == 368, "CausalArgs.out");
static_assert(offsetof(CausalArgs, scratch) == 384, "CausalArgs.scratch");
static_assert(offsetof(CausalArgs, maxTokens) == 392, "CausalArgs.maxTokens");
static_assert(offsetof(CausalArgs, heads) == 396, "CausalArgs.heads");
static_assert(offsetof(CausalArgs, start) == 400, "CausalArgs.start");
static_assert(offsetof(CausalArgs, rows) == 404, "CausalArgs.rows");
static_assert(offsetof(CausalArgs, scale) == 408, "CausalArgs.scale");
static_assert(sizeof(CausalArgs) == 448, "CausalArgs");
