// A management library of NVIDIA's that tells of two cards, for tests: one that tells everything, one
// that tells its memory only.
#include <string.h>

enum { SUCCESS, UNINITIALIZED, INVALID, NOT_SUPPORTED, LOST = 15 };

struct card { const char *uuid, *product; int talkative; };
struct memory { unsigned long long total, free, used; };
struct utilization { unsigned gpu, memory; };

static struct card cards[] = {{"GPU-0", "NVIDIA H200", 1}, {"GPU-1", "NVIDIA T4", 0}};
static int started, lost, ends;
static unsigned long long errors = 3;

void fake_errors(unsigned long long all) { errors = all; }
void fake_lose(int is) { lost = is; }
int fake_ends(void) { return ends; }

static int ask(struct card *card, int all) {
  return !started ? UNINITIALIZED : lost ? LOST : all && !card->talkative ? NOT_SUPPORTED : SUCCESS;
}

int nvmlInit_v2(void) { started = 1; return SUCCESS; }
int nvmlShutdown(void) { started = 0; ends++; return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return started ? SUCCESS : UNINITIALIZED; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct card **card) {
  if (index > 1) return INVALID;
  *card = &cards[index];
  return SUCCESS;
}

int nvmlDeviceGetUUID(struct card *card, char *text, unsigned length) {
  strncpy(text, card->uuid, length);
  return SUCCESS;
}

int nvmlDeviceGetName(struct card *card, char *text, unsigned length) {
  strncpy(text, card->product, length);
  return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(struct card *card, struct memory *memory) {
  int code = ask(card, 0);
  if (code == SUCCESS) *memory = (struct memory){150000000000ull, 110000000000ull, 40000000000ull};
  return code;
}

int nvmlDeviceGetUtilizationRates(struct card *card, struct utilization *rates) {
  int code = ask(card, 1);
  if (code == SUCCESS) *rates = (struct utilization){87, 45};
  return code;
}

int nvmlDeviceGetTotalEccErrors(struct card *card, int kind, int counter, unsigned long long *all) {
  int code = counter != 0 ? INVALID : ask(card, 1);
  if (code == SUCCESS) *all = kind == 0 ? errors : 1;
  return code;
}

// Too hot by the driver's judgement, and at its power limit; the lowest bit is of cards that idle.
int nvmlDeviceGetCurrentClocksThrottleReasons(struct card *card, unsigned long long *reasons) {
  int code = ask(card, 1);
  if (code == SUCCESS) *reasons = 0x25;
  return code;
}

int nvmlDeviceGetTemperature(struct card *card, int sensor, unsigned *celsius) {
  int code = sensor != 0 ? INVALID : ask(card, 1);
  if (code == SUCCESS) *celsius = 71;
  return code;
}

int nvmlDeviceGetPowerUsage(struct card *card, unsigned *milliwatts) {
  int code = ask(card, 1);
  if (code == SUCCESS) *milliwatts = 412500;
  return code;
}
