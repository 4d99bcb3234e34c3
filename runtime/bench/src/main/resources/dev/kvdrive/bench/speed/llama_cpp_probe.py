"""llama.cpp in a process of its own, by its Python package: the calls of its own example `simple`.

Arguments: GGUF file, prompt tokens, tokens to write, threads. Says READY, then answers every line RUN with
a RESULT: prompt tokens, tokens written after the first, nanoseconds until the first, nanoseconds after it,
tokens attended for a token.
"""

import ctypes
import random
import sys
import time

SAYS = "KVDRIVE-PROBE "


def say(text):
    print(SAYS + text, flush=True)


def main(path, prompt, tokens, threads):
    import llama_cpp as llama

    @llama.llama_log_callback
    def log(level, text, data):
        sys.stderr.write(text.decode(errors="replace"))

    llama.llama_log_set(log, ctypes.c_void_p(0))
    llama.llama_backend_init()
    of_model = llama.llama_model_default_params()
    of_model.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(path.encode(), of_model)
    if not model:
        raise ValueError("llama.cpp cannot load " + path)
    of_context = llama.llama_context_default_params()
    of_context.n_ctx = prompt + tokens
    of_context.n_threads = of_context.n_threads_batch = threads
    context = llama.llama_init_from_model(model, of_context)
    if not context:
        raise ValueError("llama.cpp cannot make a context of %d tokens" % (prompt + tokens))
    vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    most = llama.llama_n_batch(context)
    greedy = llama.llama_sampler_init_greedy()
    drawn = random.Random(1)

    def decode(ids):
        array = (llama.llama_token * len(ids))(*ids)
        status = llama.llama_decode(context, llama.llama_batch_get_one(array, len(ids)))
        if status != 0:
            raise ValueError("llama_decode returned %d" % status)

    def run():
        ids = [drawn.randrange(vocabulary) for _ in range(prompt)]
        llama.llama_memory_clear(llama.llama_get_memory(context), True)
        start = time.perf_counter_ns()
        for i in range(0, prompt, most):
            decode(ids[i : i + most])
        token = llama.llama_sampler_sample(greedy, context, -1)
        first = time.perf_counter_ns()
        for _ in range(1, tokens):
            decode([token])
            token = llama.llama_sampler_sample(greedy, context, -1)
        end = time.perf_counter_ns()
        return first - start, end - first

    say("READY llama.cpp of the Python package %s, %d threads" % (llama.__version__, threads))
    for line in sys.stdin:
        if line.strip() == "RUN":
            until_first, after = run()
            say("RESULT %d %d %d %d %s NaN NaN" % (prompt, tokens - 1, until_first, after, prompt + tokens / 2))


if __name__ == "__main__":
    try:
        main(sys.argv[1], *(int(number) for number in sys.argv[2:5]))
    except Exception as e:  # Whatever it is, the other side waits for a word.
        say("FAILED %s" % e)
        raise
