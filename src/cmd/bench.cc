// ponder bench: rates beside what the machine can do. Every figure is a median of several runs; nothing here is a test.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string_view>

#include "cmd/verb.h"
#include "core/rng.h"
#include "ops/cpu/kernels.h"
#include "quant/format.h"
#include "train/learner.h"
#include "train/recipe.h"
#include "train/run.h"

namespace ponder {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Ceilings {
  double read_gbps = 0, f32_gflops = 0, int8_gops = 0;
};

// The f32 rate is that of our own matrix product, 1024 x 1024 x 1024, as the share that training reaches is counted; the
// int8 one is what the units do without any memory.
double f32_rate(ThreadPool& pool) {
  constexpr int64_t kSize = 1024;
  Arena arena, scratch;
  Ctx cx{pool, arena, scratch};
  std::vector<float> values(static_cast<size_t>(kSize * kSize), 0.5f);
  const Weight w{values.data(), nullptr, kSize, kSize, DType::kF32, Layout::kPanels};
  const Tensor x = arena.tensor(kSize, kSize);
  std::fill(x.data, x.data + x.size(), 0.25f);
  std::vector<double> seconds;
  for (int i = 0; i < 12; ++i) {
    const Arena::Scope scope(arena);
    const double start = now();
    linear(cx, x, w);
    if (i >= 2) seconds.push_back(now() - start);
  }
  return 2e-9 * kSize * kSize * kSize / median(seconds);
}

double int8_rate(ThreadPool& pool) {
  constexpr int64_t kOps = int64_t{1} << 32;  // of a thread
  std::vector<double> rates;
  for (int i = 0; i < 5; ++i) {
    std::atomic<int64_t> done{0};
    const double start = now();
    pool.run(pool.size(), 1, [&](int64_t, int64_t, int) { done += kernels().int8_peak(kOps); });
    rates.push_back(1e-9 * static_cast<double>(done) / (now() - start));
  }
  return median(rates);
}

double read_rate(ThreadPool& pool) {
  const size_t count = size_t{64} << 20;  // 512 MiB: beyond any cache
  std::vector<uint64_t> values(count, 1);
  std::vector<double> seconds;
  uint64_t sink = 0;
  for (int i = 0; i < 5; ++i) {
    std::vector<uint64_t> sums(static_cast<size_t>(pool.size()));
    const double start = now();
    pool.run(static_cast<int64_t>(count), 1 << 20, [&](int64_t begin, int64_t end, int thread) {
      sums[static_cast<size_t>(thread)] +=
          std::accumulate(values.begin() + begin, values.begin() + end, uint64_t{0});
    });
    seconds.push_back(now() - start);
    for (uint64_t s : sums) sink += s;
  }
  PONDER_CHECK(sink > 0);
  return static_cast<double>(count * sizeof(uint64_t)) / median(seconds) * 1e-9;
}

Ceilings measure(ThreadPool& pool) { return {read_rate(pool), f32_rate(pool), int8_rate(pool)}; }

// What a token asks of the machine at least: bytes of weights read when it is the only one, multiplies
// and adds when it is one of many. The embedding is looked up; prompts do not need the head.
struct TokenCost {
  double bytes = 0, int8_ops = 0, f32_ops = 0;

  explicit TokenCost(const Model& model) {
    const Config& c = model.config();
    for (const Parameter& p : model.parameters()) {
      const Weight& w = p.weight;
      const bool embedding = p.name == "model.embed_tokens.weight";
      const bool head = p.name == "lm_head.weight" || (embedding && c.tie_word_embeddings);
      if (w.layout == Layout::kPlain || (embedding && !head)) continue;
      // Of the experts only those that are chosen.
      const double share = p.name.find(".mlp.experts.") == std::string::npos
                               ? 1.0
                               : static_cast<double>(c.moe.num_experts_per_tok) /
                                     static_cast<double>(c.moe.n_routed_experts);
      const double values = share * static_cast<double>(w.rows * w.cols);
      const Format& format = format_of(w.dtype);
      bytes += values * static_cast<double>(format.block_bytes) /
               static_cast<double>(format.block_values);
      if (!head) (format.unpack != nullptr ? int8_ops : f32_ops) += 2.0 * values;
    }
  }
  // Tokens per second that the ceilings allow.
  double most_decode(const Ceilings& c) const { return c.read_gbps * 1e9 / bytes; }
  double most_prefill(const Ceilings& c) const {
    return 1e9 / (int8_ops / c.int8_gops + f32_ops / c.f32_gflops);
  }
};

struct Options {
  std::string model, train;
  int64_t prompt = 512, generate = 64, chunk = EngineOptions().chunk;
  std::vector<int64_t> batches = {1};
  int threads = 0;
  bool json = false;
};

std::vector<int32_t> some_ids(int64_t count, int64_t vocab, uint64_t seed) {
  Rng rng(seed, hash64("bench"), 0);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<int32_t>(rng.below(static_cast<uint32_t>(vocab))));
  return ids;
}

struct SampleTime {
  double prefill = 0, decode = 0;  // seconds
};

// One engine serves all repeats, as in a server or a training run: only the first touches fresh memory.
Result<std::unique_ptr<Engine>> make_engine(const Model& model, ThreadPool& pool, int64_t answers,
                                            int64_t tokens, int64_t chunk) {
  EngineOptions options;
  options.max_batch = std::min<int64_t>(512, answers);
  options.chunk = chunk;
  options.pages = (options.max_batch + 64) * (tokens / KvCache::kPageKeys + 1);
  return Engine::create(model, pool, options);
}

// `prompts` prompts of `prompt` tokens with `n` answers each, which all run to `tokens` tokens. If `out` is given it gets them.
Result<SampleTime> sample(Engine& engine, const Model& model, int64_t prompts, int64_t n,
                          int64_t prompt, int64_t tokens, std::vector<Output>* out) {
  const EngineStats before = engine.stats();
  std::vector<RequestId> ids;
  for (int64_t p = 0; p < prompts; ++p) {
    Request request;
    request.prompt = some_ids(prompt, model.config().vocab_size, static_cast<uint64_t>(p));
    request.n = static_cast<int32_t>(n);
    request.sampling.max_new_tokens = static_cast<int32_t>(tokens);
    request.key = static_cast<uint64_t>(p * n);
    ASSIGN_OR_RETURN(const RequestId id, engine.submit(std::move(request)));
    ids.push_back(id);
  }
  while (engine.busy()) RETURN_IF_ERROR(engine.step());
  for (RequestId id : ids) {
    ASSIGN_OR_RETURN(Output output, engine.take(id));
    if (out != nullptr) out->push_back(std::move(output));
  }
  const EngineStats after = engine.stats();
  return SampleTime{after.prefill_seconds - before.prefill_seconds,
                    after.decode_seconds - before.decode_seconds};
}

// What `key` of /proc/self/status says, in bytes; 0 where there is no such file.
int64_t process_memory(std::string_view key) {
  std::ifstream status("/proc/self/status");
  std::string name;
  int64_t kilobytes = 0;
  while (status >> name) {
    if (name == key && status >> kilobytes) return kilobytes * 1024;
    status.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

// From the closed file to the first token of an answer to a prompt of o.prompt tokens, beside the forward pass that this takes at
// least; and what is then resident beside weights and cache. Files that the system has not read yet add the disk's time.
struct StartTime {
  double load = 0, first_token = 0, forward = 0;  // seconds
  int64_t resident = 0, weights = 0, cache = 0;   // bytes
};

Result<StartTime> start_to_first_token(const Options& o, ThreadPool& pool,
                                       std::optional<Model>& model) {
  StartTime out;
  const double start = now();
  ASSIGN_OR_RETURN(Model loaded, load_weights(o.model));
  model = std::move(loaded);
  out.load = now() - start;
  EngineOptions options;
  options.max_batch = 1;
  options.pages = o.prompt / KvCache::kPageKeys + 2;
  options.chunk = o.chunk;
  ASSIGN_OR_RETURN(const auto engine, Engine::create(*model, pool, options));
  RETURN_IF_ERROR(sample(*engine, *model, 1, 1, o.prompt, 1, nullptr).status());
  out.first_token = now() - start;
  out.resident = process_memory("VmRSS:");
  out.weights = model->weight_bytes();
  out.cache = options.pages * KvCache::page_bytes(model->config());
  std::vector<double> forward;
  for (int i = 0; i < 3; ++i) {
    const double begun = now();
    RETURN_IF_ERROR(sample(*engine, *model, 1, 1, o.prompt, 1, nullptr).status());
    forward.push_back(now() - begun);
  }
  out.forward = median(forward);
  return out;
}

Status bench_inference(const Options& o) {
  ThreadPool pool(o.threads);
  std::optional<Model> loaded;
  ASSIGN_OR_RETURN(const StartTime begin, start_to_first_token(o, pool, loaded));
  const Model& model = *loaded;
  nlohmann::json decode = nlohmann::json::object();
  std::vector<double> prefill;
  for (int64_t batch : o.batches) {
    std::vector<double> rates;
    ASSIGN_OR_RETURN(const auto engine,
                     make_engine(model, pool, batch, o.prompt + o.generate, o.chunk));
    for (int i = 0; i < 4; ++i) {
      ASSIGN_OR_RETURN(const SampleTime t,
                       sample(*engine, model, batch, 1, o.prompt, o.generate, nullptr));
      if (i == 0) continue;  // warms up
      prefill.push_back(static_cast<double>(batch * o.prompt) / t.prefill);
      rates.push_back(static_cast<double>(batch * o.generate) / t.decode);
    }
    decode[std::to_string(batch)] = median(rates);
  }
  const Ceilings ceilings = measure(pool);
  const TokenCost cost(model);
  const double most_prefill = cost.most_prefill(ceilings), most_decode = cost.most_decode(ceilings);
  const nlohmann::json out = {{"prefill_tps", median(prefill)},
                              {"decode_tps", decode},
                              {"ceilings",
                               {{"read_gbps", ceilings.read_gbps},
                                {"f32_gflops", ceilings.f32_gflops},
                                {"int8_gops", ceilings.int8_gops},
                                {"prefill_tps", most_prefill},
                                {"decode_tps", most_decode}}},
                              {"start",
                               {{"load_seconds", begin.load},
                                {"first_token_seconds", begin.first_token},
                                {"forward_seconds", begin.forward},
                                {"resident_bytes", begin.resident},
                                {"weight_bytes", begin.weights},
                                {"cache_bytes", begin.cache}}},
                              {"threads", pool.size()},
                              {"isa", kernels().isa}};
  if (o.json) {
    fmt::print("{}\n", out.dump());
    return {};
  }
  fmt::print("{} threads, {}\n  prefill {:.0f} tokens/s, {:.0f}% of what the units can do\n",
             pool.size(), kernels().isa, median(prefill), 100 * median(prefill) / most_prefill);
  for (const auto& [batch, rate] : decode.items()) {
    const double tps = rate.get<double>();
    fmt::print(
        "  decode, batch {}: {:.1f} tokens/s, {:.2f} times the weights' passes through memory\n",
        batch, tps, tps / most_decode);
  }
  fmt::print(
      "  start to first token {:.2f} s ({:.2f} s of it the file), {:.2f} times a forward pass of "
      "{} "
      "tokens\n  resident {:.0f} MB, {:.2f} times weights and cache ({:.0f} + {:.0f} MB)\n",
      begin.first_token, begin.load, begin.first_token / begin.forward, o.prompt,
      1e-6 * static_cast<double>(begin.resident),
      static_cast<double>(begin.resident) / static_cast<double>(begin.weights + begin.cache),
      1e-6 * static_cast<double>(begin.weights), 1e-6 * static_cast<double>(begin.cache));
  fmt::print(
      "  ceilings: {:.1f} GB/s ({:.1f} passes over the weights a second), {:.0f} GFLOP/s f32, "
      "{:.0f} GOP/s int8\n",
      ceilings.read_gbps, most_decode, ceilings.f32_gflops, ceilings.int8_gops);
  return {};
}

// One pre-training step of 16,384 tokens in documents of 256.
double train_step(Learner& learner, const Config& config, int64_t micro_tokens, uint64_t seed) {
  constexpr int64_t kTokens = 16384;
  const int64_t length = std::min<int64_t>(256, config.max_position_embeddings);
  const float weight = -1.0f / static_cast<float>(kTokens);
  const double start = now();
  PackedBatch batch;
  const auto flush = [&] {
    learner.accumulate(batch, 1.0f,
                       [&](std::span<const LogprobRow> rows, std::span<LogprobRow> d_rows) {
                         for (size_t i = 0; i < rows.size(); ++i) d_rows[i].logprob = weight;
                       });
    batch.clear();
  };
  for (int64_t done = 0; done < kTokens; done += length) {
    append_document(batch,
                    some_ids(length + 1, config.vocab_size, seed + static_cast<uint64_t>(done)), 1);
    if (batch.tokens() + length > micro_tokens) flush();
  }
  if (batch.tokens() > 0) flush();
  const Result<double> norm = learner.step(1e-6, {}, 1.0);
  PONDER_CHECK(norm.ok());
  return now() - start;
}

struct GrpoTime {
  double sample = 0, train = 0;
};

// 32 prompts x 16 answers of 48 tokens, one update on all of them.
constexpr int64_t kPrompts = 32, kGroup = 16, kPrompt = 16, kTokens = 48;

Result<GrpoTime> grpo_step(Learner& learner, Engine& engine, const Model& model,
                           int64_t micro_tokens) {
  const double start = now();
  std::vector<Output> outputs;
  RETURN_IF_ERROR(sample(engine, model, kPrompts, kGroup, kPrompt, kTokens, &outputs).status());
  const double sampled = now();
  PackedBatch batch;
  const auto flush = [&] {
    learner.accumulate(
        batch, 1.0f, [&](std::span<const LogprobRow> rows, std::span<LogprobRow> d_rows) {
          for (size_t i = 0; i < rows.size(); ++i) {
            const bool better = rows[i].logprob < rows[0].logprob;  // something with a sign
            d_rows[i].logprob =
                (better ? 1.0f : -1.0f) / static_cast<float>(kPrompts * kGroup * kTokens);
          }
        });
    batch.clear();
  };
  for (size_t p = 0; p < outputs.size(); ++p) {
    const std::vector<int32_t> prompt = some_ids(kPrompt, model.config().vocab_size, p);
    std::vector<std::span<const int32_t>> answers;
    for (const Answer& a : outputs[p].answers) answers.emplace_back(a.tokens);
    const int64_t size = family_tokens(kPrompt, answers);
    if (batch.tokens() > 0 && batch.tokens() + size > micro_tokens) flush();
    append_family(batch, prompt, answers);
  }
  flush();
  RETURN_IF_ERROR(learner.step(1e-6, {}, 1.0).status());
  return GrpoTime{sampled - start, now() - sampled};
}

Status bench_training(const Options& o) {
  ASSIGN_OR_RETURN(const Recipe recipe, load_recipe(o.train));
  if (!recipe.model.path.empty())
    return unsupported("bench --train: the recipe must describe a new model");
  Config c = config_of(recipe.model);
  c.max_position_embeddings = std::max<int64_t>(256, c.max_position_embeddings);
  ASSIGN_OR_RETURN(Model model, Model::create(c, 1));
  ThreadPool pool(o.threads);
  Learner learner(model, pool);
  int64_t micro = 1024;
  for (const Stage& s : recipe.stages) {
    if (s.micro_tokens > 0) micro = s.micro_tokens;
  }
  // 6 N for the weights plus causal attention over half the length, forward and backward: as the peers count.
  const double flops = 6.0 * static_cast<double>(model.parameter_count()) +
                       6.0 * static_cast<double>(c.num_hidden_layers * c.hidden_size * 256);
  ASSIGN_OR_RETURN(const auto engine,
                   make_engine(model, pool, kPrompts * kGroup, kPrompt + kTokens, 2048));
  std::vector<double> train_rates, gemm, sample_rates, steps;
  for (int i = 0; i < 6; ++i) {
    gemm.push_back(f32_rate(pool));
    const double seconds = train_step(learner, c, micro, static_cast<uint64_t>(i));
    ASSIGN_OR_RETURN(const GrpoTime grpo, grpo_step(learner, *engine, model, micro));
    if (i == 0) continue;  // warms up
    train_rates.push_back(16384.0 / seconds);
    steps.push_back(grpo.sample + grpo.train);
    sample_rates.push_back(static_cast<double>(kPrompts * kGroup * kTokens) / grpo.sample);
  }
  const double rate = median(train_rates);
  const nlohmann::json out = {{"tokens_per_second", rate},
                              {"gflops", rate * flops * 1e-9},
                              {"gemm_gflops", median(gemm)},
                              {"gemm_share", rate * flops * 1e-9 / median(gemm)},
                              {"threads", pool.size()},
                              {"isa", kernels().isa},
                              {"grpo",
                               {{"answers", 512},
                                {"prompt", 16},
                                {"tokens", 48},
                                {"seconds_per_step", median(steps)},
                                {"sample_tokens_per_second", median(sample_rates)}}}};
  if (o.json) {
    fmt::print("{}\n", out.dump());
    return {};
  }
  fmt::print("{} parameters, {} threads, {}\n", model.parameter_count(), pool.size(),
             kernels().isa);
  fmt::print(
      "  training     {:.0f} tokens/s = {:.0f} GFLOP/s, {:.0f}% of this machine's matrix product "
      "({:.0f})\n",
      rate, rate * flops * 1e-9, 100 * rate * flops * 1e-9 / median(gemm), median(gemm));
  fmt::print(
      "  GRPO step    {:.2f} s (32 prompts x 16 answers x 48 tokens)\n  sampling     {:.0f} "
      "tokens/s\n",
      median(steps), median(sample_rates));
  return {};
}

Status bench(const Options& o) {
  if (!o.train.empty()) return bench_training(o);
  if (o.model.empty()) return invalid("bench: expected a model, or --train RECIPE");
  return bench_inference(o);
}

}  // namespace

Verb add_bench(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("model", o->model, "GGUF file or Hugging Face folder");
  app.add_option("-p", o->prompt, "prompt tokens")->check(CLI::Range(1, 1 << 20));
  app.add_option("-n", o->generate, "generated tokens")->check(CLI::Range(1, 1 << 20));
  app.add_option("-b", o->batches, "sequences at once, several with commas")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
  app.add_option("--chunk", o->chunk, "most prompt tokens in one step")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 16));
  app.add_option("--threads", o->threads, "0: all cores")->check(CLI::Range(0, 1024));
  app.add_option("--train", o->train,
                 "a recipe: its model's training, GRPO step and sampling instead");
  app.add_flag("--json", o->json, "as one JSON object");
  app.footer("Example: ponder bench models/zero.gguf -p 128 -n 32 -b 1,8");
  return [o] { return bench(*o); };
}

}  // namespace ponder
