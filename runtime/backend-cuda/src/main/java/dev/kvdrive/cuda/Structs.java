package dev.kvdrive.cuda;

import java.util.List;

/** The structs of all kernels; names are those of C. */
final class Structs {
  private Structs() {}

  /** A view of rows: element i of row r is data[r * stride + i]. */
  static final class Rows extends Struct {
    final Field data = pointer("bf16*", "data");
    final Field stride = int64("stride");

    Rows() {
      super("Rows");
    }
  }

  /** KvLayer. */
  static final class Layer extends Struct {
    final Field dense = pointer("char*", "dense");
    final Field summaries = pointer("char*", "summaries");
    final Field codebooks = pointer("const char*", "codebooks");
    final Field window = pointer("char*", "window");
    final Field slotBase = pointer("const int*", "slotBase");
    final Field slotTable = pointer("const int*", "slotTable");
    final Field slotOfChunk = pointer("int*", "slotOfChunk");
    final Field chunkOfSlot = pointer("int*", "chunkOfSlot");
    final Field keyOfSlot = pointer("float*", "keyOfSlot");
    final Field usesOfSlot = pointer("int*", "usesOfSlot");
    final Field frameOfExtent = pointer("int*", "frameOfExtent");
    final Field lastUse = pointer("int*", "lastUse");

    /** LayerClusters, null without. */
    final Field clusters = pointer("char*", "clusters");

    final Field clusterOfMember = pointer("uint16_t*", "clusterOfMember");
    final Field clustered = pointer("int*", "clustered");

    /** LayerClusters' bases; null where values do not count for likeness. */
    final Field clusterBases = pointer("float*", "clusterBases");

    final Field extentBytes = int64("extentBytes");
    final Field layer = int32("layer");
    final Field kvHeads = int32("kvHeads");
    final Field headDim = int32("headDim");

    /** 2: bf16, 4: F32. */
    final Field elementBytes = int32("elementBytes");

    /** 1: whole numbers and steps, otherwise as elementBytes. */
    final Field backingElementBytes = int32("backingElementBytes");

    /** Offset of the values in a chunk in its backing form, half of its bytes. */
    final Field backingHalf = int32("backingHalf");

    final Field residentElementBytes = int32("residentElementBytes");
    final Field residentHalf = int32("residentHalf");
    final Field maxChunks = int32("maxChunks");
    final Field maxExtents = int32("maxExtents");
    final Field sink = int32("sink");
    final Field local = int32("local");
    final Field chunk = int32("chunk");
    final Field extentChunks = int32("extentChunks");

    /** Of a key in the index, where it has bit planes. */
    final Field bits = int32("bits");

    final Field summaryBytes = int32("summaryBytes");

    /** Chunks that a summary is of. */
    final Field summaryChunks = int32("summaryChunks");

    /** Summaries of a (seat, KV head). */
    final Field maxSummaries = int32("maxSummaries");

    /** Tokens of a cluster on average, and clusters a (seat, KV head) can have. */
    final Field clusterTokens = int32("clusterTokens");

    final Field maxClusters = int32("maxClusters");

    /** Members of clusters that a chunk is or has: 1 where chunks are clustered by their means. */
    final Field clusterRows = int32("clusterRows");

    /** Whether clusters are stored in 4 bits an element. */
    final Field nibbles = int32("nibbles");

    Layer() {
      super("Layer");
    }
  }

  /** StepBatch. */
  static final class Batch extends Struct {
    final Field positions = pointer("const int*", "positions");
    final Field seats = pointer("const int*", "seats");
    final Field selectCounts = pointer("const int*", "selectCounts");

    /** Shares of their attention that rows may miss; null for none. */
    final Field mayMiss = pointer("const float*", "mayMiss");

    Batch() {
      super("Batch");
    }
  }

  /** Selection. */
  static final class Chosen extends Struct {
    final Field scores = pointer("float*", "scores");
    final Field selected = pointer("int*", "selected");
    final Field selectedCount = pointer("int*", "selectedCount");
    final Field slots = pointer("int*", "slots");
    final Field misses = pointer("int*", "misses");
    final Field missCount = pointer("int*", "missCount");
    final Field counters = pointer("int*", "counters");
    final Field maxRows = int32("maxRows");
    final Field maxChunks = int32("maxChunks");
    final Field maxSelected = int32("maxSelected");
    final Field passChunks = int32("passChunks");

    Chosen() {
      super("Chosen");
    }
  }

  static final Rows ROWS = new Rows();
  static final Layer LAYER = new Layer();
  static final Batch BATCH = new Batch();
  static final Chosen CHOSEN = new Chosen();

  static final class Embed extends Struct {
    final Field table = pointer("const void*", "table");
    final Field tokens = pointer("const int*", "tokens");
    final Field trouble = pointer("uint4*", "trouble");
    final Field out = struct(ROWS, "out");
    final Field tableRows = int32("tableRows");
    final Field cols = int32("cols");

    /** Of an element: 32, 16, or those of a packed matrix. */
    final Field tableBits = int32("tableBits");

    /** Rows of the whole table that are before these. */
    final Field firstRow = int32("firstRow");

    /** Rows of the whole table. */
    final Field allRows = int32("allRows");

    final Field factor = float32("factor");

    Embed() {
      super("EmbedArgs");
    }
  }

  static final class Norm extends Struct {
    final Field in = struct(ROWS, "in");
    final Field out = struct(ROWS, "out");
    final Field gain = pointer("const float*", "gain");
    final Field width = int32("width");
    final Field epsilon = float32("epsilon");

    Norm() {
      super("NormArgs");
    }
  }

  static final class Bias extends Struct {
    final Field x = struct(ROWS, "x");
    final Field bias = pointer("const float*", "bias");
    final Field width = int32("width");

    Bias() {
      super("BiasArgs");
    }
  }

  static final class Add extends Struct {
    final Field x = struct(ROWS, "x");
    final Field out = struct(ROWS, "out");
    final Field width = int32("width");

    Add() {
      super("AddArgs");
    }
  }

  static final class Angles extends Struct {
    final Field positions = pointer("const int*", "positions");
    final Field out = pointer("float*", "out");
    final Field pairs = int32("pairs");
    final Field magnitude = float32("magnitude");
    final Field growth = float32("growth");
    final Field period = int32("period");
    final Field inverseFrequencies = floats("inverseFrequencies", Constants.MAX_PAIRS);

    Angles() {
      super("AnglesArgs");
    }
  }

  static final class Rotate extends Struct {
    final Field x = struct(ROWS, "x");
    final Field angles = pointer("const float*", "angles");
    final Field heads = int32("heads");
    final Field headDim = int32("headDim");
    final Field pairs = int32("pairs");
    final Field interleaved = int32("interleaved");

    Rotate() {
      super("RotateArgs");
    }
  }

  static final class Silu extends Struct {
    final Field gate = struct(ROWS, "gate");
    final Field up = struct(ROWS, "up");
    final Field out = struct(ROWS, "out");
    final Field width = int32("width");

    Silu() {
      super("SiluArgs");
    }
  }

  static final class Choose extends Struct {
    final Field logits = pointer("const float*", "logits");
    final Field stride = int64("stride");
    final Field sampling = pointer("const char*", "sampling");
    final Field out = pointer("int*", "out");
    final Field width = int32("width");

    Choose() {
      super("ChooseArgs");
    }
  }

  static final class Multiply extends Struct {
    final Field weight = pointer("const void*", "weight");
    final Field in = struct(ROWS, "in");
    final Field out = pointer("char*", "out");
    final Field outStride = int64("outStride");
    final Field weightElementBytes = int32("weightElementBytes");
    final Field outElementBytes = int32("outElementBytes");
    final Field outputs = int32("outputs");
    final Field cols = int32("cols");
    final Field add = int32("add");

    Multiply() {
      super("MultiplyArgs");
    }
  }

  /** Products of few rows with a packed matrix. */
  static final class Packed extends Struct {
    final Field weight = pointer("const char*", "weight");
    final Field in = struct(ROWS, "in");
    final Field out = pointer("char*", "out");
    final Field outStride = int64("outStride");
    final Field outElementBytes = int32("outElementBytes");
    final Field outputs = int32("outputs");
    final Field cols = int32("cols");
    final Field rows = int32("rows");
    final Field add = int32("add");

    /** Blocks that each warp asks the cache for before the kernel before has ended. */
    final Field ahead = int32("ahead");

    Packed() {
      super("PackedArgs");
    }
  }

  /** Some tiles of a packed matrix as bf16, row-major. */
  static final class Widen extends Struct {
    final Field weight = pointer("const char*", "weight");
    final Field out = pointer("bf16*", "out");
    final Field cols = int32("cols");

    Widen() {
      super("WidenArgs");
    }
  }

  static final class Append extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field batch = struct(BATCH, "batch");
    final Field keys = struct(ROWS, "keys");
    final Field values = struct(ROWS, "values");
    final Field frames = pointer("char*", "frames");
    final Field trouble = pointer("uint4*", "trouble");
    final Field frameCount = int32("frameCount");

    Append() {
      super("AppendArgs");
    }
  }

  static final class Store extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field keys = struct(ROWS, "keys");
    final Field values = struct(ROWS, "values");
    final Field scratch = pointer("char*", "scratch");
    final Field maxTokens = int32("maxTokens");
    final Field start = int32("start");

    /**
     * Tokens up to which what is behind the sink is stored as it comes back from its backing form.
     */
    final Field closing = int32("closing");

    Store() {
      super("StoreArgs");
    }
  }

  /** Of close, recall, seed and the summaries of a prompt. */
  static final class Prompt extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field scratch = pointer("char*", "scratch");
    final Field frames = pointer("char*", "frames");
    final Field trouble = pointer("uint4*", "trouble");
    final Field maxTokens = int32("maxTokens");

    /** First chunk; for seed the tokens of the prompt. */
    final Field start = int32("start");

    /** Behind the last chunk; for seed 0. */
    final Field end = int32("end");

    final Field seat = int32("seat");
    final Field frameCount = int32("frameCount");

    Prompt() {
      super("PromptArgs");
    }
  }

  static final class Reset extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field seat = int32("seat");

    Reset() {
      super("ResetArgs");
    }
  }

  static final class Trim extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field keep = pointer("const int*", "keep");
    final Field seat = int32("seat");

    Trim() {
      super("TrimArgs");
    }
  }

  static final class Observe extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field batch = struct(BATCH, "batch");
    final Field chosen = struct(CHOSEN, "chosen");
    final Field lastSelected = pointer("int*", "lastSelected");
    final Field ages = pointer("int*", "ages");

    Observe() {
      super("ObserveArgs");
    }
  }

  static final class Credit extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field batch = struct(BATCH, "batch");
    final Field chosen = struct(CHOSEN, "chosen");
    final Field marks = pointer("int*", "marks");
    final Field pass = int32("pass");

    Credit() {
      super("CreditArgs");
    }
  }

  static final class Place extends Struct {
    final Field frameOfExtent = pointer("int*", "frameOfExtent");
    final Field changes = pointer("const int2*", "changes");
    final Field count = int32("count");

    Place() {
      super("PlaceArgs");
    }
  }

  /** Of the summaries of a step. */
  static final class Step extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field batch = struct(BATCH, "batch");

    Step() {
      super("StepArgs");
    }
  }

  static final class Join extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field batch = struct(BATCH, "batch");

    /** {@code [rows][kvHeads][blocks of a cell][MAX_CHUNK]}: score and number of a cluster. */
    final Field nearest = pointer("int2*", "nearest");

    /** {@code [rows][kvHeads]}: blocks that are done, of a cell; zero between launches. */
    final Field tickets = pointer("int*", "tickets");

    /** Clusters that are in shared memory at a time. */
    final Field tile = int32("tile");

    Join() {
      super("JoinArgs");
    }
  }

  static final class Score extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field batch = struct(BATCH, "batch");
    final Field chosen = struct(CHOSEN, "chosen");
    final Field query = struct(ROWS, "query");

    /** {@code [rows of the launch][heads][maxChunks]}: s(h,i) of IndexOperations.Score. */
    final Field raw = pointer("float*", "raw");

    /** {@code [rows of the launch][heads][maxTiles]}: largest raw score and sum beside it. */
    final Field tiles = pointer("float2*", "tiles");

    /** {@code [rows of the launch][kvHeads * parts]}: weights of bits, where there are bits. */
    final Field weights = pointer("BitWeights*", "weights");

    final Field maxTiles = int32("maxTiles");
    final Field heads = int32("heads");
    final Field scale = float32("scale");

    /** Row of the first block. */
    final Field firstRow = int32("firstRow");

    /** Whether scores are shares. */
    final Field shares = int32("shares");

    /** Chunks that clusters open for each one that a row selects; 0 where they open none. */
    final Field times = int32("times");

    /** Attention state where rows may miss a share, else null. */
    final Field begun = pointer("const float*", "begun");

    Score() {
      super("ScoreArgs");
    }
  }

  /** Of best, key, diff and recent. */
  static final class Select extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field batch = struct(BATCH, "batch");
    final Field chosen = struct(CHOSEN, "chosen");
    final Field pass = int32("pass");

    Select() {
      super("SelectArgs");
    }
  }

  static final class Pin extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field batch = struct(BATCH, "batch");
    final Field chosen = struct(CHOSEN, "chosen");

    /** Of the lowest cosine in a summary. */
    final Field cosineOffset = int32("cosineOffset");

    final Field of = int32("of");
    final Field per = int32("per");

    Pin() {
      super("PinArgs");
    }
  }

  static final class Keys extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field batch = struct(BATCH, "batch");
    final Field chosen = struct(CHOSEN, "chosen");

    /** Whether earlier uses count. */
    final Field uses = int32("uses");

    Keys() {
      super("KeyArgs");
    }
  }

  static final class Forget extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field batch = struct(BATCH, "batch");
    final Field chosen = struct(CHOSEN, "chosen");

    /** Whether selected chunks are forgotten too. */
    final Field all = int32("all");

    Forget() {
      super("ForgetArgs");
    }
  }

  /** Of the kernels that cluster a segment of a prompt. */
  static final class Cluster extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field scratch = pointer("char*", "scratch");

    /** {@code [kvHeads][clusters][depth]}. */
    final Field centroids = pointer("float*", "centroids");

    /** {@code [kvHeads][clusters]}: what the scores of tokens start from. */
    final Field biases = pointer("float*", "biases");

    final Field maxTokens = int32("maxTokens");
    final Field seat = int32("seat");

    /** First chunk, and behind the last. */
    final Field from = int32("from");

    final Field to = int32("to");

    /** Of the segment, behind {@code firstCluster} others. */
    final Field clusters = int32("clusters");

    final Field firstCluster = int32("firstCluster");

    /** Whether values are averaged and clusters stored. */
    final Field last = int32("last");

    Cluster() {
      super("ClusterArgs");
    }
  }

  /** Of fetch and land; without a mailbox of prefetch. */
  static final class Fetch extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field batch = struct(BATCH, "batch");
    final Field chosen = struct(CHOSEN, "chosen");
    final Field frames = pointer("const char*", "frames");
    final Field control = pointer("int*", "control");
    final Field transit = pointer("const char*", "transit");
    final Field round = pointer("Round*", "round");
    final Field marks = pointer("int*", "marks");
    final Field rows = int32("rows");
    final Field pass = int32("pass");
    final Field timeoutMillis = int32("timeoutMillis");

    Fetch() {
      super("FetchArgs");
    }
  }

  static final class Attend extends Struct {
    final Field layer = struct(LAYER, "layer");
    final Field batch = struct(BATCH, "batch");
    final Field chosen = struct(CHOSEN, "chosen");

    /** The queries; for finish the output. */
    final Field rows = struct(ROWS, "rows");

    final Field state = pointer("float*", "state");
    final Field heads = int32("heads");
    final Field splits = int32("splits");
    final Field pass = int32("pass");
    final Field mode = int32("mode");

    /** Whether it may run beside the kernel before it. */
    final Field beside = int32("beside");

    final Field scale = float32("scale");

    Attend() {
      super("AttendArgs");
    }
  }

  static final class Causal extends Struct {
    /** Of the scratch; zeros where the kernel reads without. */
    final Field map = opaque("map", (int) TensorMaps.BYTES, TensorMaps.ALIGNMENT);

    final Field layer = struct(LAYER, "layer");
    final Field query = struct(ROWS, "query");
    final Field out = struct(ROWS, "out");
    final Field scratch = pointer("const char*", "scratch");
    final Field maxTokens = int32("maxTokens");
    final Field heads = int32("heads");
    final Field start = int32("start");
    final Field rows = int32("rows");
    final Field scale = float32("scale");

    Causal() {
      super("CausalArgs");
    }
  }

  static final Embed EMBED = new Embed();
  static final Norm NORM = new Norm();
  static final Bias BIAS = new Bias();
  static final Add ADD = new Add();
  static final Angles ANGLES = new Angles();
  static final Rotate ROTATE = new Rotate();
  static final Silu SILU = new Silu();
  static final Choose CHOOSE = new Choose();
  static final Multiply MULTIPLY = new Multiply();
  static final Packed PACKED = new Packed();
  static final Widen WIDEN = new Widen();
  static final Append APPEND = new Append();
  static final Store STORE = new Store();
  static final Prompt PROMPT = new Prompt();
  static final Reset RESET = new Reset();
  static final Trim TRIM = new Trim();
  static final Place PLACE = new Place();
  static final Observe OBSERVE = new Observe();
  static final Credit CREDIT = new Credit();
  static final Step STEP = new Step();
  static final Join JOIN = new Join();
  static final Score SCORE = new Score();
  static final Select SELECT = new Select();
  static final Pin PIN = new Pin();
  static final Keys KEYS = new Keys();
  static final Forget FORGET = new Forget();
  static final Cluster CLUSTER = new Cluster();
  static final Fetch FETCH = new Fetch();
  static final Attend ATTEND = new Attend();
  static final Causal CAUSAL = new Causal();

  /** All of them, each behind those that it contains. */
  static List<Struct> all() {
    return List.of(
        ROWS, LAYER, BATCH, CHOSEN, EMBED, NORM, BIAS, ADD, ANGLES, ROTATE, SILU, CHOOSE, MULTIPLY,
        PACKED, WIDEN, APPEND, STORE, PROMPT, RESET, PLACE, TRIM, OBSERVE, CREDIT, STEP, JOIN,
        SCORE, SELECT, PIN, KEYS, FORGET, CLUSTER, FETCH, ATTEND, CAUSAL);
  }
}
